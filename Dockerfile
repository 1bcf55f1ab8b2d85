# Three images: `roles` (every `pole` command), `workshop` (a development chain, and deploying), and what builds both.
# compose.yaml runs a whole market of them. Versions are those of the lock files.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates nodejs npm python3-venv
WORKDIR /src
COPY tools/uv.txt requirements-image.txt ./
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --require-hashes -r uv.txt
RUN /opt/uv/bin/uv venv --quiet --python /usr/bin/python3 /opt/pole && /opt/uv/bin/uv pip sync --quiet --python /opt/pole/bin/python --require-hashes --compile-bytecode requirements-image.txt
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --loglevel=error --no-fund --no-audit
COPY . .
RUN python3 tools/explorer_assets.py && /opt/uv/bin/uv pip install --quiet --no-deps --python /opt/pole/bin/python .

FROM build AS workshop
RUN npm ci --loglevel=error --no-fund --no-audit && python3 tools/foundry.py
RUN /opt/uv/bin/uv pip sync --quiet --python /opt/pole/bin/python --require-hashes requirements.txt
ENV PATH=/opt/pole/bin:/src/tools/bin:/src/node_modules/.bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
ENV PYTHONPATH=/src
ENV SOLCX_BINARY_PATH=/src/tools/solc
ENV HOME=/tmp
RUN useradd --uid 10001 --no-create-home pole && install -d -o pole /shared && ape compile --force && chown -R pole .build
USER pole

FROM debian:12-slim AS roles
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/pole /opt/pole
RUN useradd --uid 10001 --home-dir /var/lib/pole --create-home pole && install -d -o pole /keys /shared
ENV PATH=/opt/pole/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
ENV OMP_NUM_THREADS=1
ENV NUMBA_CACHE_DIR=/var/lib/pole/kernels
ENV POLE_LOCKS=/var/lib/pole/locks
WORKDIR /var/lib/pole
USER pole
HEALTHCHECK --interval=60s --timeout=30s --start-period=120s CMD ["pole", "doctor"]
ENTRYPOINT ["pole"]
