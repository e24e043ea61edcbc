/** Measures one point from within a runner's process. */
import { DateTime, Effect, Schedule } from "effect"
import type { ChildProcess } from "node:child_process"
import { fork } from "node:child_process"
import { once } from "node:events"
import { performance } from "node:perf_hooks"
import type { ActorServices } from "../../examples/actors/BackEnd.ts"
import { Actor, dueAt, queue, Steps } from "./Actors.ts"
import { countersOf } from "../../src/cli/bench/NodeCounters.ts"
import * as Cpu from "./Cpu.ts"
import type { Plan, Point, Result, Target, Work } from "./Points.ts"

/** Ids that no other run of the same store has used. */
let issued = 0
const run = `${process.pid}-${Date.now().toString(36)}`
const nextId = () => `${run}-${++issued}`

const quantile = (sorted: ReadonlyArray<number>, q: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN

/** So many entities share the calls in flight. */
const entities = 64

type Call = (caller: number) => Effect.Effect<unknown, unknown, ActorServices>

/** One call of the work by the caller of this number. */
const callOf = (work: Work): Effect.Effect<Call, never, ActorServices> =>
  Effect.gen(function*() {
    if (work === "workflow") return () => Steps.execute({ id: nextId() })
    if (work === "queue") {
      const elements = yield* queue
      return () => Effect.andThen(elements.offer({ id: nextId() }), elements.take(() => Effect.void))
    }
    const actorOf = yield* Actor.client
    return (caller: number) => {
      const actor = actorOf(`actor-${caller % entities}`)
      return work === "entity" ? actor.Call({ id: nextId() }) : actor.Change({ id: nextId() })
    }
  })

/** Keeps `inFlight` calls going for the time and gives how long each took that began and ended within it. */
const keepCalling = (work: Work, inFlight: number, forMs: number) =>
  Effect.gen(function*() {
    const call = yield* callOf(work)
    const took: Array<number> = []
    const endMs = performance.now() + forMs
    yield* Effect.forEach(
      Array.from({ length: inFlight }, (_, caller) => caller),
      (caller) =>
        Effect.whileLoop({
          while: () => performance.now() < endMs,
          body: () => {
            const startMs = performance.now()
            return Effect.map(call(caller), () => performance.now() - startMs)
          },
          step: (ms) => took.push(ms)
        }),
      { concurrency: "unbounded", discard: true }
    )
    return took
  })

/** Entries of FlareDB's log so far; `undefined` of another back end. */
const entriesOf = (target: Target) =>
  target.backEnd !== "flaredb" ? Effect.undefined : Effect.map(
    Effect.forEach(target.http, (address) => countersOf(address, target.identity), { concurrency: "unbounded" }),
    (nodes) => Math.max(...nodes.map(({ applied }) => applied))
  )

const throughput = (work: Work, inFlight: number, { measureMs, target, warmUpMs }: Plan) =>
  Effect.gen(function*() {
    yield* keepCalling(work, inFlight, warmUpMs)
    const entriesBefore = yield* entriesOf(target)
    const cpu = Cpu.start("pids" in target ? target.pids : [])
    const startMs = performance.now()
    const took = (yield* keepCalling(work, inFlight, measureMs)).sort((a, b) => a - b)
    const { runnerMs, storeMs } = cpu()
    const elapsedMs = performance.now() - startMs
    const entriesNow = yield* entriesOf(target)
    return {
      kind: "throughput",
      runnerCpu: runnerMs / took.length,
      storeCpu: storeMs === undefined ? undefined : storeMs / took.length,
      entries: entriesBefore === undefined || entriesNow === undefined
        ? undefined
        : (entriesNow - entriesBefore) / took.length,
      perSecond: (1_000 * took.length) / elapsedMs,
      p50: quantile(took, 0.5),
      p99: quantile(took, 0.99)
    } satisfies Result
  })

/** When the messages with a time were handled, by id: the handlers write it down. */
export const handledMs = new Map<string, number>()

const lateness = (messages: number) =>
  Effect.gen(function*() {
    const actorOf = yield* Actor.client
    const now = Date.now()
    // Spread over four seconds, the first of them far enough away to be stored before.
    const due = Array.from({ length: messages }, (_, i) => ({
      id: nextId(),
      atMs: now + 2_000 + Math.floor((4_000 * i) / messages)
    }))
    yield* Effect.forEach(
      due,
      ({ atMs, id }, i) =>
        actorOf(`due-${i % entities}`).Due(new dueAt({ id, at: DateTime.makeUnsafe(atMs) }), { discard: true }),
      { concurrency: 16, discard: true }
    )
    yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => due.every(({ id }) => handledMs.has(id)) })
    const late = due.map(({ atMs, id }) => (handledMs.get(id) ?? Number.NaN) - atMs).sort((a, b) => a - b)
    return { kind: "lateness", p50: quantile(late, 0.5), max: late[late.length - 1] ?? Number.NaN } satisfies Result
  })

/** A second runner on the same store, in a process of its own. */
const secondRunner = (target: Target) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const plan: Plan = { target, points: [], warmUpMs: 0, measureMs: 0, heatUpMs: 0, fillMs: 0 }
      const child = fork(process.argv[1] as string, [JSON.stringify(plan)], {
        stdio: ["ignore", "ignore", "inherit", "ipc"]
      })
      await once(child, "message")
      return child
    }),
    (child: ChildProcess) => Effect.sync(() => child.kill("SIGKILL"))
  )

const takeover = (target: Target, count: number) =>
  Effect.gen(function*() {
    const actorOf = yield* Actor.client
    const all = Array.from({ length: count }, (_, i) => `taken-${i}`)
    const where = Effect.forEach(all, (id) => Effect.map(actorOf(id).Where(), (pid) => ({ id, pid })), {
      concurrency: "unbounded"
    }).pipe(Effect.retry(Schedule.spaced("100 millis")))
    const victim = yield* secondRunner(target)
    const theirsNow = Effect.map(where, (found) => found.filter(({ pid }) => pid === victim.pid))
    // It has its share when it has some and gets no more.
    let theirs = yield* theirsNow
    for (let before = -1; theirs.length === 0 || theirs.length !== before;) {
      before = theirs.length
      yield* Effect.sleep("1 second")
      theirs = yield* theirsNow
    }
    victim.kill("SIGKILL")
    const startMs = performance.now()
    yield* Effect.forEach(
      theirs,
      ({ id }) => Effect.retry(actorOf(id).Call({ id: nextId() }), Schedule.spaced("20 millis")),
      { concurrency: "unbounded", discard: true }
    )
    return { kind: "takeover", ms: performance.now() - startMs, moved: theirs.length } satisfies Result
  }).pipe(Effect.scoped)

const backlog = (point: Extract<Point, { readonly kind: "backlog" }>, plan: Plan) =>
  Effect.gen(function*() {
    const { inFlight, processed, waiting } = point
    const empty = yield* throughput("entity", inFlight, plan)
    const actorOf = yield* Actor.client
    /** Makes as many as there is time for, and says how many. */
    const some = (count: number, forMs: number, one: (i: number) => Effect.Effect<unknown, unknown>) =>
      Effect.gen(function*() {
        const endMs = performance.now() + forMs
        let made = 0
        yield* Effect.forEach(Array.from({ length: 256 }), () =>
          Effect.whileLoop({
            while: () => made < count && performance.now() < endMs,
            body: () => one(made++),
            step: () => {}
          }), { concurrency: "unbounded", discard: true })
        return made
      })
    const kept = yield* some(processed, plan.fillMs * 0.8, (i) => actorOf(`kept-${i % 1_000}`).Call({ id: nextId() }))
    // Waiting for a time that does not come while this is measured.
    const at = DateTime.makeUnsafe(Date.now() + 86_400_000)
    const held = yield* some(
      waiting,
      plan.fillMs * 0.2,
      (i) => actorOf(`waiting-${i % 1_000}`).Due(new dueAt({ id: nextId(), at }), { discard: true })
    )
    const full = yield* throughput("entity", inFlight, plan)
    return {
      kind: "backlog",
      empty: empty.perSecond,
      full: full.perSecond,
      waiting: held,
      processed: kept
    } satisfies Result
  })

export const measure = (point: Point, plan: Plan): Effect.Effect<Result, unknown, ActorServices> => {
  switch (point.kind) {
    case "throughput":
      return throughput(point.work, point.inFlight, plan)
    case "lateness":
      return lateness(point.messages)
    case "takeover":
      return takeover(plan.target, point.entities)
    case "backlog":
      return backlog(point, plan)
  }
}

/** Load of every kind before the first point. */
export const heatUp = (forMs: number) =>
  forMs === 0 ? Effect.void : Effect.forEach(
    ["entity", "atomic", "queue", "workflow"] as const,
    (work) => keepCalling(work, 16, forMs / 4),
    { discard: true }
  )
