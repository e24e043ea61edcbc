/**
 * `npm run bench:snapshot [-- --mib 1024]`: a follower that lost its disk gets the whole state while writes go on. Prints
 * how long that takes, and the most memory that its sender and its receiver took meanwhile. Ends by itself and leaves
 * nothing behind. Linux only: it reads `/proc`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Clock, Console, Effect, Fiber, FileSystem } from "effect"
import { Command, Flag } from "effect/cli"
import { KeyValue } from "../src/client/index.ts"
import type { ClusterNode } from "../test/cluster/Cluster.ts"
import * as Cluster from "../test/cluster/Cluster.ts"
import { summarize } from "../test/cluster/Figures.ts"
import { forgetPeak, peakMiB, resourcesOf } from "./Resources.ts"

const mebi = 1024 * 1024
const valueBytes = 16 * 1024

/** Written once, the state is its values and the history of them, in equal parts. */
const copies = 2

const snapshot = Command.make(
  "snapshot",
  {
    mib: Flag.Int("mib").pipe(
      Flag.withDescription("size of the state, history included, in MiB"),
      Flag.withDefault(1024)
    )
  },
  Effect.fnUntraced(function*({ mib }) {
    const files = yield* FileSystem.FileSystem
    const cluster = yield* Cluster.make(3, undefined, { FLAREDB_MAX_LOG_BYTES: String(64 * mebi) })
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const follower = (yield* cluster.followers)[0] as ClusterNode
      yield* follower.stop("SIGTERM")
      yield* files.remove(follower.dataDir, { recursive: true })

      const values = Math.ceil((mib * mebi) / copies / valueBytes)
      const value = (i: number) => new Uint8Array(valueBytes).map((_, at) => i * 31 + at * 17)
      const filling = yield* Clock.currentTimeMillis
      yield* Effect.forEach(Array.from({ length: values }, (_, i) => i), (i) => kv.put(`state/${i}`, value(i)), {
        concurrency: 64,
        discard: true
      })
      yield* Console.log(
        `${values} values of ${valueBytes} bytes written in ${((yield* Clock.currentTimeMillis) - filling) / 1000} s`
      )

      const leader = yield* cluster.leader
      yield* forgetPeak(leader.pid)
      const before = yield* resourcesOf(leader.pid, leader.dataDir)
      const latencies: Array<number> = []
      const small = new Uint8Array(128)
      const writing = yield* Effect.forkChild(Effect.gen(function*() {
        for (let i = 0;; i++) {
          const asked = performance.now()
          yield* kv.put(`load/${i % 1_000}`, small)
          latencies.push(performance.now() - asked)
        }
      }))
      const begin = yield* Clock.currentTimeMillis
      yield* follower.start
      yield* cluster.until((all) => all.length === 3 && all.every(({ membership }) => membership === "voter"))
      const seconds = ((yield* Clock.currentTimeMillis) - begin) / 1000
      yield* Fiber.interrupt(writing)
      const { max, p50, p99 } = summarize(latencies)
      yield* Console.log(`start of the follower with an empty disk to a voter again: ${seconds.toFixed(1)} s`)
      yield* Console.log(
        `sender: ${before.rssMiB.toFixed(0)} MiB before, ${(yield* peakMiB(leader.pid)).toFixed(0)} MiB at most; ` +
          `receiver: ${(yield* peakMiB(follower.pid)).toFixed(0)} MiB at most`
      )
      yield* Console.log(
        `writes of one client meanwhile: ${latencies.length}, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${
          max.toFixed(0)
        } ms`
      )
    }).pipe(Effect.provide(Cluster.client(cluster, 30_000)))
  }, Effect.scoped)
)

snapshot.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
