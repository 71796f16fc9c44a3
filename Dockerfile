# vidrestore for CUDA and for CPUs; the image of deploy/kuberay.yaml, and of containers anywhere.
#
#   docker build --tag registry.example.org/vidrestore:0.1.0 .
#   docker build --tag registry.example.org/vidrestore:0.1.0-cpu --build-arg TORCH_INDEX=URL .
#
# Only the build of PyTorch differs. That of pip's own index is for CUDA on x86-64; for CPUs, give the URL of the index that
# PyTorch's installation page names for them. The CUDA libraries come with PyTorch's wheels: the base image needs none, and
# the host only its driver and the NVIDIA Container Toolkit.
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=""

# OpenCV's libraries, and what KubeRay's probes call.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 wget \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home vidrestore \
 && python -m venv /opt/venv
# Of the driver, the container toolkit mounts what is named here; video is for the encoders of the GPU.
ENV PATH=/opt/venv/bin:$PATH PYTHONSAFEPATH=1 RAY_USAGE_STATS_ENABLED=0 NVIDIA_DRIVER_CAPABILITIES=compute,utility,video

WORKDIR /opt/vidrestore
COPY locks locks
RUN python -m pip install --no-cache-dir --require-hashes --no-deps --requirement locks/image.txt \
 && python -m pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --requirement locks/torch.in
COPY . .
# In place, so that pipelines are found too, by whatever folder a command runs in.
RUN python -m pip install --no-cache-dir --no-deps --no-build-isolation --editable .

USER 1000
WORKDIR /home/vidrestore
CMD ["vidrestore", "--help"]
