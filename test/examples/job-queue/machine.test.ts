/** The example's state machine: what every state machine owes the node, and the same as a model too plain to be wrong. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type { Job } from "../../../examples/job-queue/Job.ts"
import { layer } from "../../../examples/job-queue/JobMachine.ts"
import { answerBytes, commandBytes, queryBytes, Reply, replyBytes } from "../../../examples/job-queue/Protocol.ts"
import * as KvStateMachine from "../../../src/kv/KvStateMachine.ts"
import { StateMachine } from "../../../src/machine/StateMachine.ts"
import type { Entry } from "../../../src/raft/Types.ts"
import { LogIndex, Term } from "../../../src/raft/Types.ts"
import * as MemoryStore from "../../../src/storage/memory/MemoryStore.ts"
import { stateMachineCases } from "../../../src/testing/StateMachineSuite.ts"
import { Model } from "./Model.ts"
import { keys, queues, steps } from "./Sample.ts"

const build = (disk: MemoryStore.MemoryDisk, machine = layer) =>
  Effect.map(
    Layer.build(Layer.fresh(Layer.provide(machine, MemoryStore.layer(disk)))),
    (context) => Context.get(context, StateMachine)
  )

const entry = (index: number, timestampMs: number, payload: Uint8Array): Entry => ({
  index: LogIndex(index),
  term: Term(1),
  kind: "command",
  timestampMs,
  payload
})

describe("what every state machine owes the node", () => {
  const sample = steps(7, 300)
  const cases = stateMachineCases({
    layer,
    commands: sample.map(({ command, timestampMs }) => ({ command: commandBytes.encode(command), timestampMs })),
    queries: queues.flatMap((queue) => [
      queryBytes.encode({ _tag: "Stats", queue }),
      queryBytes.encode({ _tag: "Dead", queue, limit: 10 }),
      ...keys.map((key) => queryBytes.encode({ _tag: "Find", queue, key }))
    ])
  })
  for (const { effect, name } of cases) it.effect(name, () => effect)
})

describe("against the model", () => {
  const tags = new Set<string>()

  for (let seed = 1; seed <= 8; seed++) {
    it.effect(`seed ${seed}: the same replies and jobs, in batches, with restarts`, () =>
      Effect.gen(function*() {
        const disk = new MemoryStore.MemoryDisk([1])
        const model = new Model()
        const sample = steps(seed, 300)
        let machine = yield* build(disk)
        for (let next = 0; next < sample.length;) {
          const size = 1 + (next * seed) % 13
          const batch = sample.slice(next, next + size)
          const replies = yield* machine.apply(
            batch.map(({ command, timestampMs }, i) => entry(next + i + 2, timestampMs, commandBytes.encode(command)))
          )
          batch.forEach(({ command, timestampMs }, i) => {
            const reply = replyBytes.decode(replies[i] as Uint8Array) as Reply
            assert.deepStrictEqual(reply, model.apply(next + i + 2, timestampMs, command), `command ${next + i}`)
            tags.add(reply._tag)
          })
          next += size
          if (next % 4 === 0) machine = yield* build(disk)
        }
        for (const queue of queues) {
          const queries = [queryBytes.encode({ _tag: "Stats", queue })]
          for (const key of keys) queries.push(queryBytes.encode({ _tag: "Find", queue, key }))
          const [stats, ...found] = (yield* machine.query(queries)).map((bytes) =>
            answerBytes.decode(bytes as Uint8Array)
          )
          assert.deepStrictEqual(stats, { _tag: "StatsOf", stats: model.stats(queue) })
          const expected = keys.map((key) =>
            [...model.jobs.values()].filter((job) => job.queue === queue && job.key === key)
          )
          assert.deepStrictEqual<unknown>(found, expected.map((jobs) => ({ _tag: "Jobs", jobs })))
        }
        // Nothing is left behind of what is forgotten: as many rows as the jobs there are account for.
        const rowsOf = ({ state }: Pick<Job, "state">) => ({ waiting: 3, taken: 4, done: 3, dead: 4 })[state]
        const expectedRows = [...model.jobs.values()].reduce((sum, job) => sum + rowsOf(job), 0)
        const figures = [...disk.state.rows].filter(({ key }) => key[0] === 0x40).length
        assert.strictEqual(disk.state.rows.length, expectedRows + figures + 2)
      }))
  }

  it("every reply but that of a full queue was given", () => {
    const { Full: _, ...others } = Reply.cases
    assert.deepStrictEqual([...tags].sort(), Object.keys(others).sort())
  })
})

describe("a store of another machine", () => {
  const failureOf = (disk: MemoryStore.MemoryDisk, machine: typeof layer) =>
    Effect.map(Effect.flip(build(disk, machine)), (refused) => {
      assert.deepInclude(refused, { _tag: "DataDirRefused", reason: "machine" })
      return refused.message
    })

  it.effect("is refused in both directions", () =>
    Effect.gen(function*() {
      const jobs = new MemoryStore.MemoryDisk([1])
      const [step] = steps(1, 1)
      yield* Effect.flatMap(build(jobs), (machine) =>
        machine.apply([entry(1, 1, commandBytes.encode(step?.command ?? { _tag: "Expire" }))]))
      assert.match(
        yield* failureOf(jobs, KvStateMachine.layer),
        /expected the state of the key-value store.*found the state of example\/job-queue\/1/
      )
      const keyValue = new MemoryStore.MemoryDisk([1])
      yield* Effect.flatMap(build(keyValue, KvStateMachine.layer), (machine) =>
        machine.apply([{ ...entry(1, 1, new Uint8Array(0)), kind: "noop" }]))
      assert.match(
        yield* failureOf(keyValue, layer),
        /expected the state of example\/job-queue\/1.*found the state of the key-value store/
      )
    }))
})
