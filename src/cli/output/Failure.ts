/**
 * How a command ends when it does not succeed: one line on standard error, and an exit code that scripts can tell
 * apart.
 */
import { Data, Runtime } from "effect"
import { errorText } from "../../ErrorText.ts"

/** 0 is success. */
export const exitCodes = {
  /** It was tried and did not work. */
  failed: 1,
  /** It was not tried: the command line or the configuration is wrong. */
  usage: 2,
  /** The key does not exist, or the dead letter, message or workflow. */
  notFound: 3
} as const

export class Failure extends Data.TaggedError("Failure")<{
  readonly exitCode: number
  /** Empty when it was said already. */
  readonly line: string
  /** What happened, as `--json` names it. */
  readonly tag: string
  /** More about it, for `--json`. */
  readonly fields: Readonly<Record<string, unknown>>
}> {
  override readonly [Runtime.errorExitCode] = this.exitCode
  /** Printed by the command line itself, so the runtime adds no log line of its own. */
  override readonly [Runtime.errorReported] = false

  override get message() {
    return this.line
  }
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, " ").trim()

const make = (exitCode: number, tag: string) => (text: string): Failure =>
  new Failure({ exitCode, line: oneLine(text), tag, fields: {} })

export const failed = make(exitCodes.failed, "Failed")

export const wrongUsage = make(exitCodes.usage, "WrongUsage")

export const notFound = make(exitCodes.notFound, "NotFound")

/** Ends with an exit code of another program's, or one that was explained already: then there is nothing to tell. */
export const exitWith = (exitCode: number, text = ""): Failure => make(exitCode, "Failed")(text)

/** Properties that every error has, or that say nothing outside the process. */
const internal: ReadonlySet<string> = new Set(["_tag", "name", "message", "stack", "cause"])

/** Text, numbers and lists of them. What else an error carries is for the program that it comes from. */
const isPlain = (value: unknown): boolean =>
  value === null || ["string", "number", "boolean"].includes(typeof value) ||
  (Array.isArray(value) && value.every(isPlain)) ||
  (typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype &&
    Object.values(value).every(isPlain))

const fieldsOf = (error: object): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(error).filter(([name, value]) => !internal.has(name) && isPlain(value)))

/**
 * Adds what to look at when no node answers as it should. Not where a node answered and refused, or showed a wrong
 * certificate: then its reason says what to do.
 */
export const withReachAdvice = (text: string): string => {
  if (text.endsWith("?") || /refused by the other side|certificate/.test(text)) return text
  return text.includes("no node can be reached")
    ? `${text}. Does the cluster run, and are these its client endpoints? flaredb status tells, flaredb cluster ` +
      "starts one here"
    : `${text}. flaredb status says what each node waits for`
}

/** The failure that tells of any error: its tag decides the exit code. */
export const failureOf = (error: unknown): Failure => {
  if (error instanceof Failure) return error
  const text = errorText(error)
  if (typeof error !== "object" || error === null || !("_tag" in error)) return failed(text)
  const tag = String(error._tag)
  const fields = fieldsOf(error)
  switch (tag) {
    case "BackupExists":
    case "NoSuchRecoveryTarget":
    case "InvalidArgument":
    case "CredentialsError":
    case "InvalidConfig":
    case "InvalidEndpoint":
    case "InvalidSource":
      return new Failure({ exitCode: exitCodes.usage, line: oneLine(text), tag, fields })
    case "DeadLetterNotFound":
    case "NoSuchMessage":
    case "NoSuchWorkflow":
      return new Failure({ exitCode: exitCodes.notFound, line: oneLine(text), tag, fields })
    // What Effect's cluster wraps is what happened.
    case "PersistenceError":
      return failureOf((error as { readonly cause?: unknown }).cause)
    case "Unavailable":
      return new Failure({
        exitCode: exitCodes.failed,
        line: oneLine(withReachAdvice(text)),
        tag,
        fields
      })
    default:
      return new Failure({ exitCode: exitCodes.failed, line: oneLine(text), tag, fields })
  }
}

/** The failure that tells of an error, and of what it means for the command. */
export const amended = (error: unknown, amend: (line: string) => string): Failure => {
  const failure = failureOf(error)
  return new Failure({ ...failure, line: oneLine(amend(failure.line)) })
}
