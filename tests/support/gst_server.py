"""GStreamer's RTSP server, run by the system's Python: `/live` plays a film over and over, `/rec` takes what comes.

Usage: gst_server.py VIDEO.mp4 RECORDING.mkv; prints its port, then serves until killed.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  versions come first


def main(video: str, recording: str) -> None:
    """Serve until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    played = GstRtspServer.RTSPMediaFactory()
    played.set_launch(
        f"( filesrc location={video} ! qtdemux name=d "
        "d.video_0 ! queue ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 "
        "d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )"
    )
    played.set_shared(shared=True)
    taken = GstRtspServer.RTSPMediaFactory()
    taken.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    taken.set_launch(
        f"( rtph264depay name=depay0 ! h264parse ! queue ! matroskamux name=m ! filesink location={recording} "
        "rtpmp4gdepay name=depay1 ! aacparse ! queue ! m. )"
    )
    taken.set_latency(200)
    for path, factory in (("/live", played), ("/rec", taken)):
        server.get_mount_points().add_factory(path, factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)  # noqa: T201  the test reads it
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
