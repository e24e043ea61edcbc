/**
 * Parts of the status page and of `/status` that the node does not know of itself: a program that runs something on its
 * store in the same process adds one. So the node depends on nothing that is built on it.
 */
import { Clock, Context, Deferred, Effect } from "effect"
import type { Scope } from "effect"
import { errorText } from "../ErrorText.ts"

/** A table of the page. */
export interface StatusTable {
  readonly title: string
  readonly rows: ReadonlyArray<readonly [name: string, value: string | number]>
}

/** A part of the status of a node that a program adds. */
export interface StatusSection {
  /** Its field in `/status`. */
  readonly name: string
  /** What it says now: as JSON, and as tables. It has to be cheap and bounded; it is asked once in a while. */
  readonly read: Effect.Effect<{ readonly json: unknown; readonly tables: ReadonlyArray<StatusTable> }, unknown>
}

/** What a section says now. */
export interface SectionAnswer {
  readonly name: string
  readonly json: unknown
  readonly tables: ReadonlyArray<StatusTable>
}

/** How long an answer serves all who ask, however many there are, in milliseconds. */
const keptMs = 5_000

/**
 * How long a request waits for a new answer, in milliseconds. A page that waits longer tells nothing of the node,
 * and that is when it is needed. The reading goes on, for those who ask next.
 */
const patienceMs = 500

/** How long a reading may take, in milliseconds. */
const limitMs = 30_000

/**
 * Where a program that runs something on a node of this process adds to its status page and to `/status`.
 *
 * **When to use**
 *
 * In a program that embeds a node and has figures that operators look for beside the node's.
 */
export class StatusSections extends Context.Service<StatusSections, {
  /** Adds a section for as long as the scope lives. One of the same name is replaced until then. */
  readonly add: (section: StatusSection) => Effect.Effect<void, never, Scope.Scope>
  /** What the sections say, in order of their names. One that fails or takes long says so. */
  readonly read: Effect.Effect<ReadonlyArray<SectionAnswer>>
}>()("flaredb/http/StatusSections") {}

const problemOf = (name: string, problem: string): SectionAnswer => ({
  name,
  json: { problem },
  tables: [{ title: name, rows: [["not known", problem]] }]
})

const answerOf = ({ name, read }: StatusSection): Effect.Effect<SectionAnswer> =>
  read.pipe(
    Effect.map((answer) => ({ name, ...answer })),
    Effect.timeoutOrElse({
      duration: limitMs,
      orElse: () => Effect.succeed(problemOf(name, `no answer within ${limitMs} ms`))
    }),
    Effect.catch((error) => Effect.succeed(problemOf(name, errorText(error)))),
    Effect.catchDefect((defect) => Effect.succeed(problemOf(name, String(defect))))
  )

/** A section with its last answer. One reading at a time, which outlasts the request for it. */
class Kept {
  private readonly section: StatusSection
  private readonly scope: Scope.Scope
  private answer: { readonly given: SectionAnswer; readonly atMs: number } | undefined
  private reading: Deferred.Deferred<SectionAnswer> | undefined

  constructor(section: StatusSection, scope: Scope.Scope) {
    this.section = section
    this.scope = scope
  }

  readonly read: Effect.Effect<SectionAnswer> = Effect.gen({ self: this }, function*() {
    const { answer } = this
    if (answer !== undefined && (yield* Clock.currentTimeMillis) - answer.atMs < keptMs) return answer.given
    const reading = yield* this.begin
    return yield* Effect.timeoutOrElse(Deferred.await(reading), {
      duration: patienceMs,
      orElse: () => Effect.succeed(answer?.given ?? problemOf(this.section.name, "it is being read; ask again"))
    })
  })

  private readonly begin = Effect.suspend(() => {
    if (this.reading !== undefined) return Effect.succeed(this.reading)
    const reading = Deferred.makeUnsafe<SectionAnswer>()
    this.reading = reading
    const done = Effect.zipWith(answerOf(this.section), Clock.currentTimeMillis, (given, atMs) => {
      this.answer = { given, atMs }
      this.reading = undefined
      Deferred.doneUnsafe(reading, Effect.succeed(given))
    })
    return Effect.as(Effect.forkIn(done, this.scope), reading)
  })
}

export const make: Effect.Effect<StatusSections["Service"]> = Effect.sync(() => {
  const sections = new Map<string, Kept>()
  return StatusSections.of({
    add: (section) =>
      Effect.flatMap(Effect.scope, (scope) => {
        const kept = new Kept(section, scope)
        return Effect.acquireRelease(
          Effect.sync(() => {
            sections.set(section.name, kept)
          }),
          () =>
            Effect.sync(() => {
              if (sections.get(section.name) === kept) sections.delete(section.name)
            })
        )
      }),
    read: Effect.suspend(() =>
      Effect.forEach([...sections].sort(([a], [b]) => a < b ? -1 : 1), ([, kept]) => kept.read, {
        concurrency: "unbounded"
      })
    )
  })
})
