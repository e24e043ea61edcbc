/**
 * Executions of workflows, from the messages that Effect's engine keeps of them: a run, its activities, its deferreds,
 * and its clocks. What the engine has in memory only is not seen: sleeps below its threshold, and which deferred is
 * awaited.
 */
import { Effect, Stream } from "effect"
import type { KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import type { EntityRow, MessageRow } from "../cluster/MessageRows.ts"
import { decodeName, decodeOwnPart, encodeName } from "../persistence/Keys.ts"
import { savedMsOf } from "./SavedTime.ts"
import { entityRowOf, queuedMessageOf } from "./QueuedMessage.ts"
import type { Reader } from "./Reader.ts"

/**
 * `running`: it runs, or waits for its runner. `sleeping`: it is suspended, and a clock wakes it. `suspended`: it waits
 * for a deferred, a child or a resume; which one the store does not know. `stopped`: it failed, and waits to be resumed
 * (`SuspendOnFailure`). The others are done.
 */
export type WorkflowState =
  | "running"
  | "sleeping"
  | "suspended"
  | "stopped"
  | "succeeded"
  | "failed"
  | "interrupted"

/** An execution of a workflow. */
export interface WorkflowView {
  readonly name: string
  readonly execution: string
  readonly state: WorkflowState
  /** Whether an interrupt was asked for. */
  readonly interrupting: boolean
  /** When it was begun, by its caller's clock, in milliseconds since 1970. */
  readonly startedMs: number
  /** When the earliest of its clocks wakes it, in milliseconds since 1970. */
  readonly wakesMs: number | undefined
  /** Attempts of activities that were begun. */
  readonly activities: number
  /** Deferreds that are done, clocks among them. */
  readonly deferreds: number
  readonly shard: string
  /** Why it failed, at most 4,096 characters. */
  readonly reason: string | undefined
}

/** Which workflows to list. */
export interface WorkflowsOptions {
  /** Only workflows of this name. */
  readonly name?: string | undefined
}

const typePrefix = "Workflow/"
/** The entity that keeps the clocks of executions. */
export const clockType = "Workflow/-/DurableClock"

/** The name of the signal that interrupts a run; Effect does not export it. */
export const interruptSignal = "Workflow/InterruptSignal"

const maxReasonLength = 4_096

/** Executions read at once. */
const concurrency = 16

/** What is collected of one execution while its rows go by. */
interface Execution {
  /** The part of the keys that they share. */
  readonly part: string
  readonly type: string
  shard: string
  run: string | undefined
  execution: string | undefined
  activities: number
  deferreds: number
  interrupting: boolean
}

const fresh = (type: string, part: string): Execution => ({
  part,
  type,
  shard: "",
  run: undefined,
  execution: undefined,
  activities: 0,
  deferreds: 0,
  interrupting: false
})

const take = ({ keys }: Reader, into: Execution, entry: KeyValueEntry): void => {
  const row = entityRowOf(entry)
  if (row === undefined) return
  const execution = decodeOwnPart(into.part)
  const behind = keys.restOf(entry.keyText)
  const own = execution === undefined || behind === undefined ? undefined : `${into.type}/${execution}/${behind}`
  const key = row.primaryKey ?? own
  if (key === undefined || !key.startsWith(`${into.type}/`)) return
  into.shard = row.shard
  // Its execution may be any text; what comes behind it are names of the engine.
  const rest = key.slice(into.type.length + 1)
  if (rest.endsWith("/run/")) {
    into.run = row.id
    into.execution = rest.slice(0, -"/run/".length)
    return
  }
  const tail = execution === undefined ? rest : rest.slice(execution.length)
  if (tail.includes("/activity/")) into.activities++
  else if (tail.includes("/deferred/")) {
    into.deferreds++
    if (tail.endsWith(`/deferred/${interruptSignal}`)) into.interrupting = true
  }
}

type Encoded = Readonly<Record<string, unknown>>

/** Why an exit is a failure, as text. */
const failureOf = (exit: Encoded): { readonly interrupted: boolean; readonly reason: string } => {
  const reasons = (Array.isArray(exit["cause"]) ? exit["cause"] : []) as ReadonlyArray<Encoded>
  const interrupted = reasons.length > 0 && reasons.every(({ _tag }) => _tag === "Interrupt")
  const text = reasons.map((reason) => JSON.stringify(reason["error"] ?? reason["defect"] ?? reason["_tag"])).join("; ")
  return { interrupted, reason: text.slice(0, maxReasonLength) }
}

/** What the stored row of a run says. */
const stateOf = (text: string): { readonly state: WorkflowState; readonly reason?: string } => {
  const row = JSON.parse(text) as MessageRow
  if (!("reply" in row)) return { state: "running" }
  const exit = row.reply.exit as unknown as Encoded
  const result = (exit["_tag"] === "Success" ? exit["value"] : undefined) as Encoded | undefined
  if (result?.["_tag"] === "Suspended") return { state: result["failed"] === true ? "stopped" : "suspended" }
  const done = (result === undefined ? exit : result["exit"] ?? exit) as Encoded
  if (done["_tag"] === "Success") return { state: "succeeded" }
  const { interrupted, reason } = failureOf(done)
  return { state: interrupted ? "interrupted" : "failed", reason }
}

/** When the earliest clock of an execution that still waits is due. */
const wakesAt = Effect.fnUntraced(function*(reader: Reader, { part }: Execution) {
  const { keys } = reader
  const clocks: Array<EntityRow> = []
  yield* reader.each(
    `${keys.entitiesOf(clockType)}${part}/`,
    (entry) => clocks.push(...[entityRowOf(entry)].filter((row) => row !== undefined)),
    { budget: { left: maxClocks } }
  )
  const due = yield* Effect.forEach(
    clocks,
    ({ id, shard }) =>
      Effect.map(
        reader.get(keys.part(shard, id, "r")),
        (found) => found._tag === "None" ? undefined : queuedMessageOf(found.value)?.deliverAt
      ),
    { concurrency }
  )
  const times = due.filter((ms) => ms !== undefined)
  return times.length === 0 ? undefined : Math.min(...times)
})

/** Clocks of one execution that are looked at. */
const maxClocks = 1_000

const view = Effect.fnUntraced(function*(reader: Reader, found: Execution) {
  const { activities, deferreds, interrupting, run, shard, type } = found
  // Only an activity or a deferred: its run was cleared.
  if (run === undefined) return undefined
  const message = yield* reader.get(reader.keys.request(run))
  const stored = message._tag === "None" ? { state: "running" as const } : stateOf(message.value.text)
  const wakesMs = stored.state === "suspended" ? yield* wakesAt(reader, found) : undefined
  return {
    name: type.slice(typePrefix.length),
    execution: found.execution ?? "",
    state: wakesMs === undefined ? stored.state : "sleeping",
    interrupting,
    startedMs: savedMsOf(run),
    wakesMs,
    activities,
    deferreds,
    shard,
    reason: "reason" in stored ? stored.reason : undefined
  } satisfies WorkflowView
})

const ofType = (reader: Reader, type: string): Stream.Stream<WorkflowView, ReadFailure> => {
  const { keys } = reader
  const prefix = keys.entitiesOf(type)
  return reader.rows(prefix).pipe(
    Stream.mapAccum(
      () => undefined as Execution | undefined,
      (known, entry: KeyValueEntry) => {
        const part = entry.keyText.slice(prefix.length, entry.keyText.lastIndexOf("/"))
        const current = known?.part === part ? known : fresh(type, part)
        take(reader, current, entry)
        return [current, known === undefined || known === current ? [] : [known]]
      },
      { onHalt: (last) => last === undefined ? [] : [last] }
    ),
    Stream.mapEffect((execution) => view(reader, execution), { concurrency }),
    Stream.filter((one) => one !== undefined)
  )
}

/** Executions by the name of their workflow, then by their id; those that are done are there until they are cleared. */
export const workflows = (
  reader: Reader,
  { name }: WorkflowsOptions = {}
): Stream.Stream<WorkflowView, ReadFailure> => {
  if (name !== undefined) return ofType(reader, `${typePrefix}${name}`)
  const before = encodeName(typePrefix)
  return reader.names(reader.keys.entities).pipe(
    Stream.filter((part) => part.startsWith(before) && part !== encodeName(clockType)),
    Stream.flatMap((part) => ofType(reader, decodeName(part)))
  )
}

/** One execution; `undefined` when the store knows none. */
export const workflow = Effect.fnUntraced(function*(reader: Reader, name: string, execution: string) {
  const type = `${typePrefix}${name}`
  const prefix = reader.keys.entity(type, execution)
  const found = fresh(type, prefix.slice(reader.keys.entitiesOf(type).length, -1))
  yield* reader.each(prefix, (entry) => take(reader, found, entry))
  return { view: yield* view(reader, found), run: found.run }
})
