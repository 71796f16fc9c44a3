# The image of examples/kuberay.yaml, and of containers anywhere:
#
#   docker build --tag registry.example.org/vidrestore:0.1.0 .
#
# PyTorch is the build that pip's own index has, which on x86-64 is for CUDA; for another, such as that for CPUs, name the
# index that PyTorch's page of installation names for it: --build-arg TORCH_INDEX=URL
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=""

# OpenCV's libraries, and what KubeRay's probes call.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 wget \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home vidrestore \
 && python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONSAFEPATH=1 RAY_USAGE_STATS_ENABLED=0

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
