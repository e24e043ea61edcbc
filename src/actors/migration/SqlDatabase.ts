/**
 * The PostgreSQL database that a migration reads. Its driver, `@effect/sql-pg`, is an optional peer dependency that is
 * loaded here: a cluster needs none. The session is read-only, so that nothing of the source can change.
 */
import type { Redacted } from "effect"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql"
import { InvalidSource, SourceFailed, SourceUnreachable, SqlDriverMissing } from "./Failures.ts"

/** The package that reads PostgreSQL. */
const driver = "@effect/sql-pg"

interface Driver {
  readonly layer: (config: {
    readonly url: unknown
    readonly applicationName: string
    readonly connectTimeout: string
    readonly maxConnections: number
    readonly startupParameters: Readonly<Record<string, string>>
  }) => Layer.Layer<SqlClient.SqlClient, SqlError.SqlError>
}

/** How the driver is imported. Tests replace it. */
export const DriverImport: Context.Reference<() => Promise<unknown>> = Context.Reference<() => Promise<unknown>>(
  "flaredb/actors/migration/DriverImport",
  { defaultValue: () => () => import("@effect/sql-pg/PgClient") }
)

/**
 * Hides the URL from logs. The command line has a copy of Effect in its own file, the driver takes the one that is
 * installed, and each copy opens only what it has hidden itself: so it is the driver's that hides it.
 */
const redacted = async (url: string): Promise<unknown> => {
  const { make } = await import(import.meta.resolve("effect/Redacted")) as typeof Redacted
  return make(url)
}

/** A database, and how messages name it: without its password. */
export interface SourceDatabase {
  readonly name: string
  readonly url: string
}

/** Reads a URL. Other databases of Effect's are not supported: the queries are PostgreSQL's. */
export const sourceOf = (url: string): Effect.Effect<SourceDatabase, InvalidSource> =>
  Effect.suspend(() => {
    if (!URL.canParse(url)) return Effect.fail(new InvalidSource({ problem: "is no URL" }))
    const { host, pathname, protocol } = new URL(url)
    if (protocol !== "postgres:" && protocol !== "postgresql:") {
      return Effect.fail(
        new InvalidSource({ problem: `is a ${protocol.slice(0, -1)} URL; only PostgreSQL is supported` })
      )
    }
    if (host === "" || pathname.length < 2) {
      return Effect.fail(new InvalidSource({ problem: "names no host or no database" }))
    }
    return Effect.succeed({ name: `postgres://${host}${pathname}`, url })
  })

const reasonOf = (error: unknown): string => {
  const texts: Array<string> = []
  for (let current = error; current instanceof Error && texts.length < 5; current = current.cause) {
    const { message } = current
    if (!texts.some((text) => text.includes(message))) texts.push(message)
  }
  return texts.length === 0 ? String(error) : texts.join(": ")
}

/** A client of the database for as long as the scope lives. */
export const layer = (
  { name, url }: SourceDatabase
): Layer.Layer<SqlClient.SqlClient, SqlDriverMissing | SourceUnreachable> =>
  Layer.unwrap(Effect.gen(function*() {
    const importing = yield* DriverImport
    const [{ layer }, hidden] = yield* Effect.tryPromise({
      try: async () => [await importing() as Driver, await redacted(url)] as const,
      catch: (cause) => new SqlDriverMissing({ package: driver, reason: reasonOf(cause).split("\n")[0] ?? "" })
    })
    return layer({
      url: hidden,
      applicationName: "flaredb",
      connectTimeout: "10 seconds",
      maxConnections: 4,
      startupParameters: { default_transaction_read_only: "on" }
    }).pipe(
      Layer.tap((context) => Context.get(context, SqlClient.SqlClient)`SELECT 1`),
      Layer.catch((error) =>
        Layer.effect(
          SqlClient.SqlClient,
          Effect.fail(new SourceUnreachable({ source: name, reason: reasonOf(error) }))
        )
      )
    )
  }))

/** Fails as what reading a table fails with. */
export const reading = (table: string) => <A, R>(query: Effect.Effect<A, SqlError.SqlError, R>) =>
  Effect.mapError(query, (error) => new SourceFailed({ table, reason: reasonOf(error) }))
