"""Restore the faces in one image: `python examples/restore_a_photo.py old.jpg new.png`."""

import sys

import cv2

import vidrestore

if __name__ == "__main__":
    source, destination = sys.argv[1:]
    image = cv2.imread(source)
    if image is None:
        sys.exit(f"{source} is not an image that OpenCV reads")
    restored = vidrestore.restore_image(image[..., ::-1])
    cv2.imwrite(destination, restored[..., ::-1])
