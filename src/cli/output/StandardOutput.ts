/**
 * What a command could not say. Node drops the errors of its console, so a dump onto a full disk would be cut off, and
 * the command succeed.
 */
import { unwrittenText } from "../../ErrorText.ts"
import { exitCodes, failed } from "./Failure.ts"
import { errorText } from "./Messages.ts"

/** 128 and the number of SIGPIPE: what the shell shows of a program whose reader has gone. */
const brokenPipe = 141

const problemOf = (error: NodeJS.ErrnoException): string =>
  `${
    errorText(failed(
      `standard output cannot be written: ${
        unwrittenText(error)
      }; what was printed is not complete, and what was written ` +
        "to the cluster stays written"
    ))
  }\n`

/** Whether the command has ended, and nothing it began is left. */
let ended = false

/** Whether there is nothing left to do but to wait for the reader of what was printed. */
export const hasEnded = (): boolean => ended

/** Ends the command like a signal does, so that it removes what it began: keys, files, processes. */
const end = (exitCode: number): void => {
  process.exitCode = exitCode
  if (ended) process.exit()
  else process.kill(process.pid, "SIGTERM")
}

/**
 * Ends the command when standard output fails: quietly when its reader has gone, and with the reason otherwise. A
 * process that serves goes on, whether or not its output is read.
 */
export const watchStandardOutput = (serves: boolean): void => {
  // Unheard, it would end the process. There is no reader left to report to.
  process.stderr.on("error", () => undefined)
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (serves) return
    if (error.code === "EPIPE") return end(brokenPipe)
    process.stderr.write(problemOf(error), () => end(exitCodes.failed))
    process.exitCode = exitCodes.failed
  })
}

/** Ends with success once everything was written. */
export const endWithSuccess = (): void => {
  ended = true
  process.stdout.write("", (error) => {
    if (error === null || error === undefined) process.exit(process.exitCode ?? 0)
  })
}
