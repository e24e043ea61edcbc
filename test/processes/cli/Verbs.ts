/** Every verb of the command line, from its own tree: tables of tests are held against it, so that none is forgotten. */
import { root } from "../../../src/cli/Root.ts"

interface Verb {
  readonly name: string
  readonly subcommands: ReadonlyArray<{ readonly commands: ReadonlyArray<Verb> }>
}

/** Verbs that do something by themselves, and have others below them. */
const alsoVerbs: ReadonlySet<string> = new Set(["cluster"])

/** The verbs of a command, each with the words before it: "lease grant". */
const verbsOf = (command: Verb, path: ReadonlyArray<string> = []): ReadonlyArray<string> => {
  const own = command.subcommands.flatMap(({ commands }) => commands)
  const name = path.join(" ")
  const below = own.flatMap((verb) => verbsOf(verb, [...path, verb.name]))
  return own.length === 0 || alsoVerbs.has(name) ? [name, ...below] : below
}

export const verbs: ReadonlyArray<string> = [...verbsOf(root as unknown as Verb)].sort()
