/** How a command ends when it does not succeed: one line on standard error, and an exit code that scripts can tell apart. */
import { Data, Runtime } from "effect"

/** 0 is success. */
export const exitCodes = {
  /** It was tried and did not work. */
  failed: 1,
  /** It was not tried: the command line or the configuration is wrong. */
  usage: 2,
  /** The key does not exist. */
  notFound: 3
} as const

export class Failure extends Data.TaggedError("Failure")<{
  readonly exitCode: number
  /** Empty when it was said already. */
  readonly line: string
}> {
  override readonly [Runtime.errorExitCode] = this.exitCode
  /** Printed by the command line itself, so the runtime adds no log line of its own. */
  override readonly [Runtime.errorReported] = false

  override get message() {
    return this.line
  }
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, " ").trim()

export const failed = (text: string): Failure => new Failure({ exitCode: exitCodes.failed, line: oneLine(text) })

export const wrongUsage = (text: string): Failure => new Failure({ exitCode: exitCodes.usage, line: oneLine(text) })

export const notFound = (text: string): Failure => new Failure({ exitCode: exitCodes.notFound, line: oneLine(text) })

/** The failure that tells of any error: its tag decides the exit code. */
export const failureOf = (error: unknown): Failure => {
  if (error instanceof Failure) return error
  const text = error instanceof Error ? error.message : String(error)
  switch (typeof error === "object" && error !== null && "_tag" in error ? error._tag : undefined) {
    case "BackupExists":
    case "InvalidArgument":
    case "InvalidConfig":
    case "InvalidEndpoint":
      return wrongUsage(text)
    case "Unavailable":
      return failed(`${text}. flaredb status says what each node waits for`)
    default:
      return failed(text)
  }
}
