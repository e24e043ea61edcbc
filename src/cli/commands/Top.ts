/** The command that shows what the nodes do, as it happens. */
import type { Scope } from "effect"
import { Clock, Effect, Option, Queue } from "effect"
import { Command, Flag } from "effect/cli"
import type { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { describeEndpointErrors } from "../../client/connection/EndpointErrors.ts"
import { withClient } from "../input/ClientFlags.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { durationFlag } from "../input/Duration.ts"
import { formatDuration } from "../../DurationText.ts"
import { nodePlaces, nodesFlags, withPlaces } from "../input/NodesFlags.ts"
import { makeSwitch } from "../input/Switch.ts"
import { asker } from "../nodes/NodePages.ts"
import { failed, failureOf, withReachAdvice, wrongUsage } from "../output/Failure.ts"
import * as Output from "../output/Output.ts"
import type { NodeRates, Sample } from "../top/Sample.ts"
import { figures, takeSample } from "../top/Sample.ts"
import type { Key, Terminal } from "../top/Terminal.ts"
import { takeTerminal } from "../top/Terminal.ts"
import { screen, tableText } from "../top/View.ts"

/** Bounds of the interval, in milliseconds: nodes answer in some, and an hour is no live view. */
const minIntervalMs = 200
const maxIntervalMs = 3_600_000

/** The table by itself needs two looks for its rates, this far apart at most. */
const onceMs = 1_000

type Take = Effect.Effect<Sample, never, ClusterAdmin>

interface Shown {
  readonly selected: number
  readonly intervalMs: number
}

const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value))

/** What a key changes; `undefined` ends it. */
export const pressed = (key: Key, state: Shown, nodes: number): Shown | undefined => {
  switch (key) {
    case "quit":
      return undefined
    case "up":
      return { ...state, selected: clamp(state.selected - 1, 0, nodes - 1) }
    case "down":
      return { ...state, selected: clamp(state.selected + 1, 0, nodes - 1) }
    case "faster":
      return { ...state, intervalMs: clamp(Math.round(state.intervalMs / 2), minIntervalMs, maxIntervalMs) }
    case "slower":
      return { ...state, intervalMs: clamp(state.intervalMs * 2, minIntervalMs, maxIntervalMs) }
    default:
      return state
  }
}

/** Draws until a key ends it. Keys are answered at once, and new figures come with each interval. */
const live = Effect.fnUntraced(function*(terminal: Terminal, take: Take, intervalMs: number) {
  let state: Shown = { selected: 0, intervalMs }
  let before: Sample | undefined
  let now = yield* take
  const draw = Effect.map(Clock.currentTimeMillis, (nowMs) =>
    terminal.draw(screen(figures(now, before), now.nodes, {
      ...terminal.size(),
      ...state,
      time: new Date(nowMs).toISOString().slice(11, 19)
    })))
  for (;;) {
    yield* draw
    const dueMs = now.atMs + state.intervalMs
    const leftMs = Math.max(0, dueMs - (yield* Clock.currentTimeMillis))
    const key = yield* Effect.timeoutOption(Queue.take(terminal.keys), leftMs)
    if (Option.isSome(key)) {
      const next = pressed(key.value, state, now.nodes.length)
      if (next === undefined) return
      state = next
      if (key.value !== "now") continue
    }
    const later = yield* take
    before = now
    now = later
  }
})

/** Fails when no node could be asked, with what each of them said. */
const someAnswer = ({ nodes }: Sample) => {
  const problems = nodes.flatMap(({ answer }) =>
    answer.report === undefined ? [{ endpoint: answer.endpoint, reason: answer.problem ?? "no answer" }] : []
  )
  return problems.length < nodes.length
    ? Effect.void
    : Effect.fail(failed(withReachAdvice(`no node can be reached; ${describeEndpointErrors(problems)}`)))
}

const jsonLines = (sample: Sample, nodes: ReadonlyArray<NodeRates>) =>
  Output.jsonLines(nodes.map((node) => ({ time: new Date(sample.atMs).toISOString(), ...node })))

const stream = Effect.fnUntraced(function*(take: Take, intervalMs: number) {
  let before = yield* take
  for (;;) {
    yield* Effect.sleep(intervalMs)
    const now = yield* take
    yield* jsonLines(now, figures(now, before))
    before = now
  }
})

interface TopFlags {
  readonly interval: number
  readonly json: boolean
  readonly once: boolean
}

const run = Effect.fnUntraced(function*(
  take: Take,
  { interval, json, once }: TopFlags
): Effect.fn.Return<void, unknown, ClusterAdmin | Scope.Scope> {
  const isTerminal = process.stdout.isTTY === true && process.stdin.isTTY === true
  if (!once && json) return yield* stream(take, interval)
  if (!once && isTerminal) return yield* live(yield* takeTerminal, take, interval)
  const before = yield* take
  yield* Effect.sleep(Math.min(interval, onceMs))
  const now = yield* take
  yield* someAnswer(now)
  const nodes = figures(now, before)
  yield* json ? jsonLines(now, nodes) : Output.lines(tableText(nodes))
})

export const top = Command.make("top", {
  ...nodesFlags,
  interval: durationFlag("interval").pipe(
    withDefault(`time between two looks, ${minIntervalMs}ms to 1h`, 2_000, "2s")
  ),
  once: makeSwitch("once").pipe(
    Flag.withDescription("print one table and end; default without a terminal"),
    Flag.withDefault(false)
  )
}, (flags) =>
  Effect.gen(function*() {
    if (flags.interval < minIntervalMs || flags.interval > maxIntervalMs) {
      return yield* wrongUsage(`--interval ${formatDuration(flags.interval)} is not from ${minIntervalMs}ms to 1h`)
    }
    const places = yield* nodePlaces(flags)
    const ask = yield* asker(flags, Math.min(flags.timeout, 2_000))
    const clock = yield* Clock.Clock
    const take = takeSample(places, ask, () => clock.currentTimeMillisUnsafe())
    yield* withClient(withPlaces(flags, places), run(take, flags))
  }).pipe(Effect.scoped, Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Show the nodes live: role, lag, writes a second, latency of syncs and commits, memory, room, connections. " +
        "Without a terminal it prints one table, and with --json lines until it is stopped."
    ),
    Command.withExamples([
      { command: "flaredb top", description: "The local cluster, until q is pressed" },
      { command: "flaredb top --once --nodes 1=db1:7001:7101:7201", description: "One table, for a script" }
    ])
  )
