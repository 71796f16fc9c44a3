"""Doubles and makers that tests of several folders share: imported plainly, `from support import video_factory`."""
