/** `npm start`, which runs `flaredb cluster`: three nodes from one command, gone with it, their data kept. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { createConnection } from "node:net"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { figure } from "./Figures.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"

const startCluster = Effect.fnUntraced(function*(
  [program, ...args]: readonly [string, ...ReadonlyArray<string>],
  nodes: string,
  dataDir: string
) {
  const handle = yield* ChildProcess.make(program, [...args, "--nodes", nodes, "--data-dir", dataDir], {
    env: cleanEnv({}),
    extendEnv: true,
    stdin: "ignore",
    forceKillAfter: "15 seconds"
  })
  const ready = yield* Deferred.make<string>()
  let printed = ""
  yield* Effect.forkScoped(
    Effect.ignore(Stream.runForEach(Stream.decodeText(handle.all), (text) => {
      printed += text
      return printed.includes("Ctrl-C ends all nodes") ? Deferred.succeed(ready, printed) : Effect.void
    }))
  )
  return { handle, banner: yield* Deferred.await(ready) }
})

/** Waits until nobody listens on a port. */
const closed = (port: number): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.callback<boolean>((resume) => {
      const socket = createConnection({ host: "127.0.0.1", port })
      socket.once("connect", () => resume(Effect.succeed(false)))
      socket.once("error", () => resume(Effect.succeed(true)))
      return Effect.sync(() => socket.destroy())
    }),
    (gone) => gone ? Effect.void : Effect.andThen(Effect.sleep(20), closed(port))
  )

/** Waits until a node's directory can be opened: its process has ended, or at least let go of it. */
const released = (dataDir: string) => Effect.repeat(run(["inspect", dataDir]), { until: ({ code }) => code === 0 })

it.live("starts, tells where it listens, keeps its data, ends cleanly, and leaves no node behind when it is killed", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-local-" })
    const ports = yield* freePorts(9)
    const nodes = formatNodes([1, 2, 3].map((id) => ({
      id,
      host: "127.0.0.1",
      clientPort: ports[id - 1] as number,
      peerPort: ports[id + 2] as number,
      httpPort: ports[id + 5] as number
    })))
    const clientPorts = ports.slice(0, 3)
    const env = { FLAREDB_ENDPOINTS: clientPorts.map((port) => `127.0.0.1:${port}`).join(",") }

    yield* Effect.scoped(Effect.gen(function*() {
      const begin = performance.now()
      const { banner, handle } = yield* startCluster(["npm", "start", "--"], nodes, folder)
      assert.strictEqual((yield* run(["put", "kept", "yes"], { env })).code, 0)
      figure(
        `cluster command to its first acknowledged put: ${(performance.now() - begin).toFixed(0)} ms`
      )
      for (const port of ports) assert.include(banner, `127.0.0.1:${port}`)
      assert.include(banner, " leader")

      const second = yield* run(["cluster", "--nodes", nodes, "--data-dir", `${folder}/second`])
      assert.strictEqual(second.code, 1)
      assert.match(second.err, /^flaredb: the (?:client|peer|http) address 127\.0\.0\.1:\d+ is in use; /)

      // npm passes the signal on to what it started, which must be the cluster and no shell around it.
      process.kill(handle.pid, "SIGTERM")
      assert.strictEqual(Number(yield* handle.exitCode), 0)
      yield* Effect.forEach(clientPorts, closed)
    }))

    for (const command of [[process.execPath, launcher, "cluster"], ["npm", "start", "--"]] as const) {
      yield* Effect.scoped(Effect.gen(function*() {
        const { handle } = yield* startCluster(command, nodes, folder)
        assert.strictEqual((yield* run(["get", "kept"], { env })).out, "yes\n")
        process.kill(handle.pid, "SIGKILL")
        assert.isTrue(Exit.isFailure(yield* Effect.exit(handle.exitCode)))
        yield* Effect.forEach(clientPorts, closed)
        // Their parent is gone and waits for nobody: without this, the folder would be removed under nodes that still write.
        yield* Effect.forEach([1, 2, 3], (id) => released(`${folder}/node-${id}`))
      }))
    }
  }).pipe(Effect.provide(NodeServices.layer)))
