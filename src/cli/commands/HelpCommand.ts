/** `flaredb help VERB`: what `flaredb VERB --help` prints, for users who expect it there. */
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { version } from "../../Version.ts"
import { wrongUsage } from "../output/Failure.ts"

/** The first of `words` that names no command below the ones before it. */
const unknownWord = (root: Command.Command.Any, words: ReadonlyArray<string>): string | undefined => {
  let command = root
  for (const word of words) {
    const next = command.subcommands.flatMap(({ commands }) => commands).find(({ name }) => name === word)
    if (next === undefined) return word
    command = next
  }
  return undefined
}

/** `root` has the commands that there is help for. */
export const makeHelp = <Name extends string, Input, ContextInput, E, R>(
  root: Command.Command<Name, Input, ContextInput, E, R>
) =>
  Command.make("help", {
    command: Argument.String("command").pipe(
      Argument.withDescription("the command, such as put or lease grant; all commands when it is left out"),
      Argument.variadic({ min: 0 })
    )
  }, ({ command }) =>
    Effect.gen(function*() {
      const unknown = unknownWord(root, command)
      if (unknown !== undefined) {
        return yield* wrongUsage(`${JSON.stringify(unknown)} is no command; flaredb help lists them`)
      }
      yield* Command.runWith(root, { version })([...command, "--help"])
    })).pipe(
      Command.withDescription("Print the help of a command."),
      Command.withExamples([{
        command: "flaredb help lease grant",
        description: "The same as flaredb lease grant --help"
      }])
    )
