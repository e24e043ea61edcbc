/** Whole stores for the contract tests of the client: a cluster of one in memory, and one on RocksDB behind its ports. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, FileSystem, Layer } from "effect"
import * as FlareDb from "../../src/FlareDb.ts"

const rocksDb = Layer.unwrap(
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-client-" })
    return FlareDb.layer({
      nodeId: 1,
      clusterId: "test",
      dataDir: `${folder}/node-1`,
      nodes: [{ id: 1, host: "127.0.0.1", clientPort: 0, peerPort: 0, httpPort: 0 }]
    })
  })
).pipe(Layer.provide(NodeServices.layer))

export const stores = [
  { name: "memory", layer: FlareDb.layerMemory },
  { name: "RocksDB", layer: rocksDb }
] as const
