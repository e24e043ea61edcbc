/**
 * How a request of the API fails: the tags of `FlareDbError.ts`, and some that only HTTP has. Each says whether the
 * write was done, because that decides whether it may be repeated.
 */
import { Schema } from "effect"
import { HttpApiSchema } from "effect/http-api"
import { Entry } from "./Entries.ts"

/** Whether what was asked for was written. A read that fails wrote nothing. */
const WasWritten = Schema.Literals(["no", "unknown", "yes"])

/**
 * What repeating the request comes to. `never`: it fails again as it is. `later`: it is safe after a pause. `with-id`:
 * it is safe with the same `Idempotency-Key`, and otherwise only when doing it twice does no harm. `read-again`: what
 * the caller knows is old; it reads, and decides again.
 */
const Retry = Schema.Literals(["never", "later", "with-id", "read-again"])

type WasWritten = typeof WasWritten.Type
type Retry = typeof Retry.Type

const failure = <const Tag extends string, const Fields extends Schema.Struct.Fields>(
  tag: Tag,
  status: number,
  wasWritten: WasWritten,
  retry: Retry,
  fields: Fields
) => ({
  facts: { wasWritten, retry },
  status,
  schema: Schema.Struct({
    tag: Schema.Literal(tag),
    message: Schema.String,
    wasWritten: Schema.Literal(wasWritten),
    retry: Schema.Literal(retry),
    ...fields
  }).annotate({ identifier: tag }).pipe(HttpApiSchema.status(status))
})

const failures = {
  /** Something in the request is malformed or over a limit. */
  InvalidArgument: failure("InvalidArgument", 400, "no", "never", { field: Schema.String, problem: Schema.String }),
  FutureRevision: failure("FutureRevision", 400, "no", "never", {
    requested: Schema.Number,
    revision: Schema.Number
  }),
  Unauthenticated: failure("Unauthenticated", 401, "no", "never", { reason: Schema.String }),
  Unauthorized: failure("Unauthorized", 403, "no", "never", { name: Schema.String, what: Schema.String }),
  /** A page of another site asked for it. */
  CrossSite: failure("CrossSite", 403, "no", "never", {}),
  KeyNotFound: failure("KeyNotFound", 404, "no", "never", {}),
  PathNotFound: failure("PathNotFound", 404, "no", "never", {}),
  /** The path has other methods. */
  MethodNotAllowed: failure("MethodNotAllowed", 405, "no", "never", { allowed: Schema.Array(Schema.String) }),
  LeaseNotFound: failure("LeaseNotFound", 404, "no", "never", { lease: Schema.Number }),
  /** The transaction was carried out once, and its results are known no more. */
  ResultsNotKept: failure("ResultsNotKept", 409, "yes", "never", {
    revision: Schema.Number,
    succeeded: Schema.Boolean
  }),
  Compacted: failure("Compacted", 410, "no", "read-again", { requested: Schema.Number, oldest: Schema.Number }),
  /**
   * A precondition did not hold. `current` is what the key holds, `null` when it does not exist. It is absent when
   * others changed the keys of a transaction in each of its attempts.
   */
  Conflict: failure("Conflict", 412, "no", "read-again", { current: Schema.optionalKey(Schema.NullOr(Entry)) }),
  BodyTooLarge: failure("BodyTooLarge", 413, "no", "never", { maximum: Schema.Number }),
  /** The id was used for another request. */
  RequestIdReused: failure("RequestIdReused", 422, "no", "never", { revision: Schema.Number }),
  Overloaded: failure("Overloaded", 429, "no", "later", {
    limit: Schema.String,
    current: Schema.Number,
    maximum: Schema.Number
  }),
  Fatal: failure("Fatal", 500, "unknown", "with-id", { reason: Schema.String }),
  WrongCluster: failure("WrongCluster", 502, "no", "never", {}),
  Unavailable: failure("Unavailable", 503, "no", "later", { reason: Schema.String }),
  Indeterminate: failure("Indeterminate", 504, "unknown", "with-id", { reason: Schema.String }),
  SessionExpired: failure("SessionExpired", 504, "unknown", "with-id", {})
} as const

export type FailureTag = keyof typeof failures

/** A failure as JSON. */
export type ApiFailure = (typeof failures)[FailureTag]["schema"]["Type"]

const schemas = <const Tags extends ReadonlyArray<FailureTag>>(...tags: Tags) =>
  tags.map((tag) => failures[tag].schema) as { readonly [I in keyof Tags]: (typeof failures)[Tags[I]]["schema"] }

/** What any request may fail with. */
const always = [
  "InvalidArgument",
  "Unauthenticated",
  "Unauthorized",
  "Overloaded",
  "Fatal",
  "WrongCluster",
  "Unavailable"
] as const satisfies ReadonlyArray<FailureTag>

export const readFailures = schemas(...always, "KeyNotFound", "LeaseNotFound")

export const writeFailures = schemas(
  ...always,
  "CrossSite",
  "LeaseNotFound",
  "ResultsNotKept",
  "Conflict",
  "BodyTooLarge",
  "RequestIdReused",
  "Indeterminate",
  "SessionExpired"
)

export const watchFailures = schemas(...always, "CrossSite", "Compacted", "FutureRevision")

export const InvalidArgumentFailure = failures.InvalidArgument.schema

/** The schema of a failure, by its tag. */
export const failureSchema = (tag: FailureTag) => failures[tag].schema

export const failureTags = Object.keys(failures) as ReadonlyArray<FailureTag>

export const statusOf = ({ tag }: ApiFailure): number => failures[tag].status

/** Milliseconds after which a request that may be repeated later is worth repeating, as `Retry-After` says it. */
export const retryAfterSeconds = ({ retry }: ApiFailure): string | undefined => retry === "later" ? "1" : undefined

/** The failure with a tag. Its fields have to be those of the tag. */
export const apiFailure = <Tag extends FailureTag>(
  tag: Tag,
  message: string,
  fields: Omit<(typeof failures)[Tag]["schema"]["Type"], "tag" | "message" | "wasWritten" | "retry">
): ApiFailure =>
  // The table has the facts of each tag, and the type of `fields` the rest.
  ({ tag, message, ...failures[tag].facts, ...fields }) as unknown as ApiFailure

const isApiFailure = (error: object): error is ApiFailure => "tag" in error && "wasWritten" in error

/** An error of a client. */
interface TaggedError {
  readonly _tag: string
  readonly message: string
}

const isTag = (tag: string): tag is FailureTag => Object.hasOwn(failures, tag)

/** The status of a tag, also for answers of another form; `undefined` for one that the API does not have. */
export const statusOfTag = (tag: string): number | undefined => isTag(tag) ? failures[tag].status : undefined

/** A failure of the store as the API tells it. One that has no place there is a bug, and stays one. */
export const failureOf = (error: TaggedError | ApiFailure): ApiFailure => {
  if (isApiFailure(error)) return error
  const { _tag: tag, message } = error
  if (!isTag(tag)) throw new Error(`${tag} has no place in the API: ${message}`)
  const names = new Set(Object.keys(failures[tag].schema.fields))
  for (const name of ["tag", "message", ...Object.keys(failures[tag].facts)]) names.delete(name)
  const fields = Object.fromEntries(Object.entries(error).filter(([name]) => names.has(name)))
  return { tag, message, ...failures[tag].facts, ...fields } as unknown as ApiFailure
}
