/** A watch lives through the loss of leaders and of the node that serves it: each revision once, in order, as it was written. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Random, Stream } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import type { Changes } from "../../src/client/WatchNotice.ts"
import { Watch } from "../../src/client/Watch.ts"
import { eventually } from "../Eventually.ts"
import type { ClusterNode } from "./Cluster.ts"
import * as Cluster from "./Cluster.ts"
import { figure, report } from "./Figures.ts"
import { rest } from "./Rest.ts"

const kills = 8
const writers = 4

/** What a watch has told, and when it told the last. */
class Told {
  readonly changes: Array<Changes> = []
  private lastAt = performance.now()
  private longestMs = 0

  take(changes: Changes): void {
    const now = performance.now()
    this.longestMs = Math.max(this.longestMs, now - this.lastAt)
    this.lastAt = now
    this.changes.push(changes)
  }

  get last(): number {
    return this.changes.at(-1)?.revision ?? 0
  }

  /** The longest time without a change since the last call, in milliseconds. */
  pauseMs(): number {
    const longest = this.longestMs
    this.longestMs = 0
    return longest
  }

  get lines(): ReadonlyArray<string> {
    return this.changes.map(({ events, revision }) =>
      `${revision} ${events.map((event) => `${event.keyText}=${event._tag === "Put" ? event.entry.text : "?"}`).join()}`
    )
  }
}

it.live(`a watch tells of every revision once and in order while ${kills} leaders are killed and every node is restarted`, () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)

    const check = Effect.gen(function*() {
      const kv = yield* KeyValue
      const watch = yield* Watch
      const all = new Told()
      const one = new Told()
      const acknowledged: Array<string> = []
      const watching = yield* Effect.forkChild(
        Stream.runForEach(
          watch.changes({ prefix: "" }, { fromRevision: 1, progressMs: 1_000 }),
          (changes) => Effect.sync(() => all.take(changes))
        )
      )
      const watchingOne = yield* Effect.forkChild(
        Stream.runForEach(
          watch.changes({ key: "writer-0" }, { fromRevision: 1, progressMs: 1_000 }),
          (changes) => Effect.sync(() => one.take(changes))
        )
      )
      const writer = Effect.fnUntraced(function*(key: string) {
        for (let value = 1;; value++) {
          const outcome = yield* Effect.result(kv.put(key, String(value)))
          if (outcome._tag === "Success") acknowledged.push(`${outcome.success.revision} ${key}=${value}`)
          yield* rest
        }
      })
      const writing = yield* Effect.forEach(
        Array.from({ length: writers }, (_, i) => `writer-${i}`),
        (key) => Effect.forkChild(writer(key))
      )
      /** Until a good many writes more are told of. */
      const more = Effect.flatMap(Random.nextIntBetween(20, 100), (count) => {
        const goal = all.last + count
        return eventually(`the watch is told of revision ${goal}`, () => all.last >= goal)
      })
      /** Ends a node and starts it again, while the others go on and the watch with them. */
      const bounce = Effect.fnUntraced(function*(node: ClusterNode, signal: "SIGKILL" | "SIGTERM") {
        yield* node.stop(signal)
        yield* Effect.all([node.start, more], { concurrency: 2 })
      })

      const pauses: Array<number> = []
      for (let round = 0; round < kills; round++) {
        yield* more
        all.pauseMs()
        yield* bounce(yield* cluster.leader, "SIGKILL")
        pauses.push(all.pauseMs())
      }
      // One of them serves the watch.
      for (const node of cluster.nodes) yield* bounce(node, "SIGTERM")
      yield* Effect.forEach(writing, Fiber.interrupt)
      // Behind whatever the writers have left under way.
      const { revision } = yield* kv.put("writer-0", "end")
      yield* eventually("both watches are told of the end", () => all.last >= revision && one.last >= revision)
      yield* Effect.forEach([watching, watchingOne], Fiber.interrupt)

      assert.deepStrictEqual(
        all.changes.map((changes) => changes.revision),
        Array.from({ length: all.last }, (_, i) => i + 1)
      )
      const told = new Set(all.lines)
      assert.deepStrictEqual(acknowledged.filter((line) => !told.has(line)), [])
      assert.deepStrictEqual(one.lines, all.lines.filter((line) => line.includes(" writer-0=")))
      figure(`revisions watched across ${kills} leader kills: ${all.last}`)
      report("pause of a watch when the leader is killed", pauses)
    }).pipe(Random.withSeed("watch"))
    yield* Effect.provide(check, Cluster.client(cluster))
  }).pipe(Effect.provide(NodeServices.layer)))
