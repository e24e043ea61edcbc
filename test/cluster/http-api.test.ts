/** The HTTP API of real nodes, by clients that know nothing of Effect: `curl`, a shell and Python. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { readFileSync } from "node:fs"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"

/** Runs a program to its end, and gives what it printed. */
const ran = (command: string, ...args: ReadonlyArray<string>) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* ChildProcess.make(command, args, { stdin: "ignore" })
    const [out, err, code] = yield* Effect.all([
      Stream.mkString(Stream.decodeText(handle.stdout)),
      Stream.mkString(Stream.decodeText(handle.stderr)),
      handle.exitCode
    ], { concurrency: "unbounded" })
    assert.strictEqual(Number(code), 0, `${command} ${args.join(" ")}: ${err}`)
    return out
  }))

const processes = 3
const counts = 25

const number = (key: string) =>
  Effect.map(
    Effect.flatMap(KeyValue, (kv) => kv.get(key)),
    Option.match({ onNone: () => 0, onSome: ({ text }) => Number(text) })
  )

it.live(
  "three curl lines of README, and counters in Python and a shell that lose no count when leaders die",
  () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(3)
      yield* Cluster.start(cluster)
      const nodes = cluster.nodes.map(({ address: { host, httpPort } }) => `${host}:${httpPort}`)

      yield* Effect.gen(function*() {
        // As README has them, at a node of this cluster.
        const lines = readFileSync("README.md", "utf8").split("\n").filter((line) => line.startsWith("curl "))
        assert.strictEqual(lines.length, 3)
        const [put = "", get = "", watch = ""] = lines.map((line) => line.replace("localhost:7201", nodes[0] as string))
        assert.deepInclude(JSON.parse(yield* ran("sh", "-c", `${put} -sS`)), { created: true, version: 1 })
        assert.strictEqual(yield* ran("sh", "-c", `${get} -sS`), "hello")
        const seen = ran("sh", "-c", `${watch} -sS | grep -m1 '"key":"greeting"'`)
        // It begins when it does, and ends with its first change.
        const written = yield* Effect.raceFirst(seen, Effect.forever(ran("sh", "-c", `${put} -sS`)))
        assert.include(written, `"value":"hello"`)
        // The bundle of the command line once had no look at what is encoded.
        for (const path of ["keys/%FF", "scan?prefix=%FF"]) {
          assert.include(yield* ran("curl", "-sS", `${nodes[0]}/v1/${path}`), `"tag":"InvalidArgument"`)
        }

        const counting = yield* Effect.forkChild(Effect.all(
          Array.from({ length: processes }, (_, i) => {
            const others = [...nodes.slice(i), ...nodes.slice(0, i)]
            return ran("python3", "examples/http/counter.py", "counts/python", String(counts), ...others)
          }),
          { concurrency: "unbounded" }
        ))
        let restarted: Fiber.Fiber<void, unknown> = yield* Effect.forkChild(Effect.void)
        for (const least of [15, 45]) {
          yield* eventually(`${least} counts`, Effect.map(number("counts/python"), (found) => found >= least))
          yield* Fiber.join(restarted)
          const leader = yield* cluster.leader
          yield* leader.stop("SIGKILL")
          restarted = yield* Effect.forkChild(leader.start)
        }
        yield* Fiber.join(counting)
        assert.strictEqual(yield* number("counts/python"), processes * counts)

        yield* Effect.all(
          [nodes[0], nodes[1]].map((node) =>
            ran("sh", "examples/http/counter.sh", "counts-shell", "3", node as string)
          ),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(yield* number("counts-shell"), 6)
        yield* Fiber.join(restarted)
      }).pipe(Effect.provide(Cluster.client(cluster)))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  300_000
)
