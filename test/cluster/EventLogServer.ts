/** A process that serves an encrypted event log, kept in a cluster, until it is ended. */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { Effect, Layer, Logger } from "effect"
import { EventLogServerEncrypted } from "effect/eventlog"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { layerEventLogStorageEncrypted } from "../../src/actors/index.ts"
import { layer, parseEndpoints } from "../../src/client/index.ts"

const [endpoints = "", port = ""] = process.argv.slice(2)

const program = Effect.flatMap(parseEndpoints(endpoints), (parsed) =>
  Layer.launch(
    Layer.effectDiscard(Effect.sync(() => process.stdout.write("SERVING\n"))).pipe(
      Layer.provideMerge(EventLogServerEncrypted.layer),
      Layer.provide(RpcServer.layerProtocolSocketServer),
      Layer.provide(NodeSocketServer.layer({ host: "127.0.0.1", port: Number(port) })),
      Layer.provide(RpcSerialization.layerSchemaBinary()),
      Layer.provide(layerEventLogStorageEncrypted()),
      Layer.provide(layer({ endpoints: parsed })),
      Layer.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
    )
  ))

await Effect.runPromise(program)
