/** `flaredb elect` as real processes: one leads, the next waits for it to stop, and others look on. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { ChildProcess } from "effect/process"
import * as Cluster from "./Cluster.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"

/** A process of the command line whose first line of a stream is waited for. */
const started = Effect.fnUntraced(function*(endpoints: string, ...args: ReadonlyArray<string>) {
  const handle = yield* ChildProcess.make(process.execPath, [launcher, ...args], {
    env: cleanEnv({ FLAREDB_ENDPOINTS: endpoints }),
    extendEnv: true,
    stdin: "ignore",
    killSignal: "SIGKILL"
  })
  const firstOf = Effect.fnUntraced(function*(stream: typeof handle.stdout) {
    const first = yield* Deferred.make<string>()
    yield* Effect.forkScoped(
      Stream.runForEach(Stream.splitLines(Stream.decodeText(stream)), (line) => Deferred.succeed(first, line))
    )
    return Deferred.await(first)
  })
  return { handle, out: yield* firstOf(handle.stdout), err: yield* firstOf(handle.stderr) }
})

it.live("leads until it is stopped, then the next one does, and --listen sees both", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(1)
    yield* Cluster.start(cluster)
    const env = { FLAREDB_ENDPOINTS: cluster.endpointList }
    const none = yield* run(["elect", "web", "--listen", "--limit", "1"], { env })
    assert.deepStrictEqual(none, { code: 0, out: "-\tno leader\n", err: "" })

    const first = yield* started(cluster.endpointList, "elect", "web", "web-1")
    const [revision, value] = (yield* first.out).split("\t")
    assert.strictEqual(value, "web-1")
    const looking = yield* Effect.forkScoped(run(["elect", "web", "--listen", "--limit", "1", "--json"], { env }))
    const { out } = yield* Fiber.join(looking)
    assert.deepInclude(JSON.parse(out).leader, { revision: Number(revision), value: "web-1" })

    const second = yield* started(cluster.endpointList, "elect", "web", "web-2")
    assert.match(yield* second.err, /^flaredb: waiting for the election "web"; "web-1" leads$/)
    yield* Effect.ignore(first.handle.kill({ killSignal: "SIGTERM" }))
    assert.strictEqual(Number(yield* first.handle.exitCode), 0)
    const [later, next] = (yield* second.out).split("\t")
    assert.strictEqual(next, "web-2")
    assert.isAbove(Number(later), Number(revision))

    // Its lease is taken away: it may not go on as if it led.
    const { lease } =
      JSON.parse((yield* run(["elect", "web", "--listen", "--limit", "1", "--json"], { env })).out).leader
    assert.strictEqual((yield* run(["lease", "revoke", String(lease)], { env })).code, 0)
    assert.strictEqual(Number(yield* second.handle.exitCode), 1)
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 300_000)
