/** Lists of names and prefixes that the commands on access take and print. */
import { Effect, Option } from "effect"
import type { AccessListOptions, AccessPage } from "../../client/index.ts"
import type { Encoding } from "../input/Encoding.ts"
import { read, written } from "../input/Encoding.ts"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"

/**
 * The parts of a list with commas. An empty part is refused, because the empty prefix is every key: only `""` alone
 * means it.
 */
const partsOf = (flag: string, text: string): Effect.Effect<ReadonlyArray<string>, Failure> => {
  const parts = text.split(",")
  return parts.length > 1 && parts.includes("")
    ? Effect.fail(wrongUsage(`--${flag} ${JSON.stringify(text)} has an empty part; leave a comma out`))
    : Effect.succeed(parts)
}

/** The names of a flag; none when it is left out or empty. */
export const namesIn = (flag: string, text: Option.Option<string>): Effect.Effect<ReadonlyArray<string>, Failure> =>
  Option.isNone(text) || text.value === "" ? Effect.succeed([]) : partsOf(flag, text.value)

/** The prefixes of a flag; none when it is left out, and every key when it is empty. */
export const prefixesIn = (
  flag: string,
  text: Option.Option<string>,
  encoding: Encoding
): Effect.Effect<ReadonlyArray<Uint8Array>, Failure> =>
  Option.isNone(text)
    ? Effect.succeed([])
    : Effect.flatMap(partsOf(flag, text.value), (parts) =>
      Effect.forEach(parts, (part) => read(`prefix of --${flag}`, part, encoding)))

/** Prefixes in one cell of a table. */
export const prefixCell = (prefixes: ReadonlyArray<Uint8Array>, encoding: Encoding): string =>
  prefixes.length === 0
    ? "-"
    : prefixes.map((prefix) => prefix.byteLength === 0 ? "(every key)" : shownPrefix(prefix, encoding)).join(",")

const shownPrefix = (prefix: Uint8Array, encoding: Encoding): string => {
  const { encoding: used, text } = written(prefix, encoding)
  return used === encoding ? text : `(${used}) ${text}`
}

/** All rows of a list, from as many pages as it takes. */
export const everyPage = Effect.fnUntraced(function*<Row extends { readonly name: string }, E, R>(
  page: (options: AccessListOptions) => Effect.Effect<AccessPage<Row>, E, R>
) {
  const found: Array<Row> = []
  for (;;) {
    const { more, rows } = yield* page({ after: found[found.length - 1]?.name ?? "" })
    found.push(...rows)
    if (!more || rows.length === 0) return found
  }
})
