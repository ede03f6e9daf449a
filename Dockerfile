# docker build --tag malaria_exp .
# docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" --volume malaria_cache:/cache malaria_exp model=cellnet
FROM python:3.11-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make git \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /malaria_exp
COPY . .
RUN PIP_NO_CACHE_DIR=1 make install
# Whatever user the container runs as: runs go to the folder it was given, decoded images to a volume.
RUN mkdir --mode=777 /work /cache
ENV PATH=/malaria_exp/.venv/bin:$PATH HOME=/tmp MALARIA_EXP_CACHE=/cache
VOLUME /cache
WORKDIR /work
ENTRYPOINT ["malaria-exp"]
