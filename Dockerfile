# The coordinator's image: `docker run gearmesh` is `gearmesh serve`.
FROM node:26.10.0-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --include=dev
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY proto ./proto
COPY src ./src
RUN npm run -s build

FROM node:26.10.0-bookworm-slim AS packages
WORKDIR /packages
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm cache clean --force

FROM node:26.10.0-bookworm-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="gearmesh" \
      org.opencontainers.image.description="Cross-shard JavaScript functions for a stock Redis or Valkey Cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /packages/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY proto ./proto
COPY examples ./examples
COPY package.json LICENSE ./
# By its number, so that an orchestrator can tell that it is not root.
USER 1000:1000
# gRPC for clients and peers; health and metrics.
EXPOSE 7379 8379
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["serve"]
