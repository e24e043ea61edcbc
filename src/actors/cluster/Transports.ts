/** How runners and callers reach each other: over sockets or by HTTP. Calls outlive the runners that they ask. */
import * as NodeClusterHttp from "@effect/platform-node/NodeClusterHttp"
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Layer, Option } from "effect"
import type { MessageStorage, Runners, RunnerStorage } from "effect/cluster"
import { HttpRunner, RunnerHealth, RunnerServer, Sharding, ShardingConfig } from "effect/cluster"
import type { HttpServerError } from "effect/http"
import { HttpRouter } from "effect/http"
import { RpcSerialization, RpcServer } from "effect/rpc"
import type { SocketServer } from "effect/socket"
import * as LeavingRunners from "./LeavingRunners.ts"

/** What sends to entities. */
export type Sending = Sharding.Sharding | Runners.Runners

/** What a caller stands on. */
export type CallerServices =
  | MessageStorage.MessageStorage
  | RunnerStorage.RunnerStorage
  | ShardingConfig.ShardingConfig

/** What a runner stands on. */
export type RunnerServices = CallerServices | RunnerHealth.RunnerHealth

/** Effect's `RunnerServer.layerWithClients`. */
const server = RunnerServer.layer.pipe(
  Layer.provideMerge(Sharding.layer),
  Layer.provideMerge(LeavingRunners.layer)
)

/** Effect's `RunnerServer.layerClientOnly`. */
const caller = Sharding.layer.pipe(
  Layer.provideMerge(LeavingRunners.layer),
  Layer.provide(RunnerHealth.layerNoop),
  Layer.updateService(ShardingConfig.ShardingConfig, (config) => ({ ...config, runnerAddress: Option.none() }))
)

export const layerSocketRunner: Layer.Layer<Sending, SocketServer.SocketServerError, RunnerServices> = server.pipe(
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provide([NodeClusterSocket.layerSocketServer, NodeClusterSocket.layerClientProtocol]),
  Layer.provide(RpcSerialization.layerSchemaBinary())
)

export const layerSocketCaller: Layer.Layer<Sending, never, CallerServices> = caller.pipe(
  Layer.provide(NodeClusterSocket.layerClientProtocol),
  Layer.provide(RpcSerialization.layerSchemaBinary())
)

/** Where runners find each other's RPCs. */
export type Path = HttpRouter.PathInput

const httpCalls = (path: Path) =>
  Layer.provide(HttpRunner.layerClientProtocolHttp({ path }), NodeHttpClient.layerUndici)

export const layerHttpRunner = (
  path: Path
): Layer.Layer<Sending, HttpServerError.ServeError, RunnerServices> =>
  HttpRouter.serve(Layer.provide(server, RpcServer.layerProtocolHttp({ path })), {
    disableLogger: true,
    disableListenLog: true
  }).pipe(
    Layer.provide([NodeClusterHttp.layerHttpServer, httpCalls(path)]),
    Layer.provide(RpcSerialization.layerSchemaBinary())
  )

export const layerHttpCaller = (path: Path): Layer.Layer<Sending, never, CallerServices> =>
  caller.pipe(
    Layer.provide(httpCalls(path)),
    Layer.provide(RpcSerialization.layerSchemaBinary())
  )
