/** `examples/embedding/main.ts`: a service with a node of its own, as `docs/embedding.md` shows it. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem, Option, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { cleanEnv } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"

it.live("a service with a node in its process serves, and finds what it had when it is started again", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-embedding-" })
    const ports = yield* freePorts(3)
    const env = cleanEnv({
      FLAREDB_NODE_ID: "1",
      FLAREDB_NODES: `1=127.0.0.1:${ports.join(":")}`,
      FLAREDB_DATA_DIR: `${folder}/data`
    })
    const firstLine = Effect.scoped(Effect.gen(function*() {
      const handle = yield* ChildProcess.make(process.execPath, ["examples/embedding/main.ts"], {
        env,
        extendEnv: true,
        stdin: "ignore",
        killSignal: "SIGTERM",
        forceKillAfter: "20 seconds"
      })
      const lines = handle.stdout.pipe(Stream.decodeText(), Stream.splitLines)
      return yield* Stream.runHead(Stream.filter(lines, (line) => line.startsWith("seat 12")))
    }))
    assert.deepStrictEqual(yield* firstLine, Option.some("seat 12 is held for ada"))
    assert.deepStrictEqual(yield* firstLine, Option.some("seat 12 is held for ada"))
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
