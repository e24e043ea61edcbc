/** A command line from its words to its end. Every verb's errors end here, as one line and an exit code. */
import { Effect } from "effect"
import { CliError, CliOutput, Command } from "effect/cli"
import { version } from "../Version.ts"
import { exitCodes, exitWith, Failure, failureOf, wrongUsage } from "./output/Failure.ts"
import * as Messages from "./output/Messages.ts"
import { root } from "./Root.ts"

/** A flag's value may come from a variable, and then the variable is what has to be changed. */
const usageProblem = ({ message }: { readonly message: string }): string => {
  const [problem = "", suggested = ""] = message.split("Did you mean this?").map((part) =>
    part.replace(/\s+/g, " ").trim()
  )
  // The nearest of all flags may be a letter, which is near to nothing.
  const words = suggested.split(" ").filter((word) => word.replace(/^-*/, "").length > 1)
  const line = problem.replace("Expected a string representing a finite number", "Expected: an integer") +
    (words.length === 0 ? "" : ` (did you mean ${words.join(" or ")}?)`)
  const variable = /SchemaError\(Expected:? (?:a string representing )?(.*) at \["(\w+)"\]\)/.exec(line)
  return variable === null ? line : `the variable ${variable[2]} is wrong: expected ${variable[1]}`
}

/** Wrong usage is one line too; the help comes only when it is asked for. */
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Messages.error(
        wrongUsage(`${event.errors.map(usageProblem).join("; ")}; see ${event.commandPath.join(" ")} --help`)
      )
      : CliOutput.defaultPresenter.present(event)
}

/** A stack has several lines. */
const bugOf = (defect: unknown): Failure =>
  new Failure({
    exitCode: exitCodes.failed,
    line: `this is a bug: ${defect instanceof Error ? defect.stack ?? defect.message : String(defect)}`,
    tag: "Bug",
    fields: {}
  })

const parsed = Command.runWith(root, { version })

/**
 * Carries out what the words behind `flaredb` ask for. It has said why when it fails.
 *
 * The wizard asks questions. Without a terminal it would fail at the first, or take the end of its input for an answer.
 */
export const carryOut = (words: ReadonlyArray<string>, hasTerminal: boolean) => {
  // What comes after `--` belongs to another program.
  const own = words.includes("--") ? words.slice(0, words.indexOf("--")) : words
  const asked = own.includes("--wizard") && !hasTerminal
    ? Effect.fail(wrongUsage("--wizard asks questions on a terminal, and this is none; see flaredb --help"))
    : parsed(words)
  return asked.pipe(
    Effect.catch((error) => {
      if (CliError.isCliError(error)) {
        return error._tag === "ShowHelp" && error.errors.length === 0
          ? Effect.void
          : Effect.fail(exitWith(exitCodes.usage))
      }
      const failure = failureOf(error)
      return Effect.andThen(
        failure.line === "" ? Effect.void : Messages.error(failure),
        Effect.fail(exitWith(failure.exitCode))
      )
    }),
    Effect.catchDefect((defect) =>
      Effect.andThen(Messages.error(bugOf(defect)), Effect.fail(exitWith(exitCodes.failed)))
    ),
    Effect.provideService(CliOutput.Presenter, presenter)
  )
}
