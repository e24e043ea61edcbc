/**
 * Parts of the status page and of `/status` that the node does not know of itself: whoever runs something on its store in
 * the same process adds one. So the node depends on nothing that is built on it.
 */
import { Context, Duration, Effect } from "effect"
import type { Scope } from "effect"

/** A table of the page. */
export interface StatusTable {
  readonly title: string
  readonly rows: ReadonlyArray<readonly [name: string, value: string | number]>
}

export interface StatusSection {
  /** Its field in `/status`. */
  readonly name: string
  /** What it says now: as JSON, and as tables. It has to be cheap and bounded; it is asked once in a while. */
  readonly read: Effect.Effect<{ readonly json: unknown; readonly tables: ReadonlyArray<StatusTable> }, unknown>
}

/** What a section says at the moment. */
export interface SectionAnswer {
  readonly name: string
  readonly json: unknown
  readonly tables: ReadonlyArray<StatusTable>
}

/** How long an answer serves all who ask, however many there are. */
const keptFor = Duration.seconds(5)

/** How long a section may take. A page that waits for it tells nothing of the node, and that is when it is needed. */
const patience = Duration.millis(500)

export class StatusSections extends Context.Service<StatusSections, {
  /** Adds a section for as long as the scope lives. One of the same name is replaced until then. */
  readonly add: (section: StatusSection) => Effect.Effect<void, never, Scope.Scope>
  /** What the sections say, in order of their names. One that fails or takes too long says so. */
  readonly read: Effect.Effect<ReadonlyArray<SectionAnswer>>
}>()("flaredb/ops/StatusSections") {}

const problemOf = (name: string, problem: string): SectionAnswer => ({
  name,
  json: { problem },
  tables: [{ title: name, rows: [["not known", problem]] }]
})

const answerOf = ({ name, read }: StatusSection): Effect.Effect<SectionAnswer> =>
  read.pipe(
    Effect.map((answer) => ({ name, ...answer })),
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.succeed(problemOf(name, `no answer within ${Duration.toMillis(patience)} ms`))
    }),
    Effect.catch((error) => Effect.succeed(problemOf(name, error instanceof Error ? error.message : String(error)))),
    Effect.catchDefect((defect) => Effect.succeed(problemOf(name, String(defect))))
  )

export const make: Effect.Effect<StatusSections["Service"]> = Effect.sync(() => {
  const sections = new Map<string, Effect.Effect<SectionAnswer>>()
  return StatusSections.of({
    add: (section) =>
      Effect.flatMap(Effect.cachedWithTTL(answerOf(section), keptFor), (answer) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            sections.set(section.name, answer)
          }),
          () =>
            Effect.sync(() => {
              if (sections.get(section.name) === answer) sections.delete(section.name)
            })
        )),
    read: Effect.suspend(() =>
      Effect.all([...sections.keys()].sort().map((name) => sections.get(name) as Effect.Effect<SectionAnswer>), {
        concurrency: "unbounded"
      })
    )
  })
})
