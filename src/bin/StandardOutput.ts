/**
 * What a command could not say. Node drops the errors of its console, so a dump onto a full disk would be cut off, and
 * the command succeed.
 */
import { exitCodes, failed } from "./Failure.ts"
import { errorText } from "./Messages.ts"

/** 128 and the number of SIGPIPE: what the shell shows of a program whose reader has gone. */
const brokenPipe = 141

const problemOf = (error: NodeJS.ErrnoException): string =>
  `${
    errorText(failed(
      `standard output cannot be written: ${error.message}; what was printed is not complete, and what was written to ` +
        "the cluster stays written"
    ))
  }\n`

/**
 * Ends the process when standard output fails: quietly when its reader has gone, and with the reason otherwise. A process
 * that serves goes on, whoever reads what it says.
 */
export const watchStandardOutput = (serves: boolean): void => {
  // Unheard, it would end the process. Nobody is left to be told.
  process.stderr.on("error", () => undefined)
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (serves) return
    if (error.code === "EPIPE") process.exit(brokenPipe)
    process.stderr.write(problemOf(error), () => process.exit(exitCodes.failed))
    process.exitCode = exitCodes.failed
  })
}

/** Ends with success once everything was written. */
export const endWithSuccess = (): void => {
  process.stdout.write("", (error) => {
    if (error === null || error === undefined) process.exit(process.exitCode ?? 0)
  })
}
