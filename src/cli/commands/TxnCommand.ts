/**
 * `flaredb txn`: a transaction in words. Conditions and operations are lists of words, given as text (words with blanks
 * in double quotes) or as JSON on standard input, where each is an array of strings.
 */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { KeyValueEntry } from "../../client/Entry.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import type { Comparison, Ops } from "../../client/Txn.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { maxTransactionBytes } from "../../kv/model/Limits.ts"
import { compareOperators } from "../../kv/model/Transaction.ts"
import { clientFlags, withWriter } from "../input/ClientFlags.ts"
import type { Encodings } from "../input/Encoding.ts"
import { encodingFlags, encodingsOf, jsonField, read, textOf } from "../input/Encoding.ts"
import type { Failure } from "../output/Failure.ts"
import { wrongUsage } from "../output/Failure.ts"
import { repeatedName } from "../../RepeatedName.ts"
import * as Output from "../output/Output.ts"
import { allOfInput } from "../input/StandardInput.ts"

type Words = ReadonlyArray<string>

const clauses = {
  if: "missing KEY | exists KEY | value KEY = TEXT | version, create, mod or lease KEY = N (or != < <= > >=)",
  do: "put KEY VALUE [LEASE] | delete KEY | delete-prefix PREFIX | get KEY | scan PREFIX"
} as const

/** How words are told apart. */
const quoting =
  "a word with blanks goes in double quotes, as in put KEY \"hello world\", and an empty one is written \"\""

/** A word: in double quotes as in JSON, or up to the next blank. */
const word = /\s*(?:("(?:[^"\\]|\\.)*")|([^\s"]+))(?=\s|$)/y

/** The words of a clause. */
const wordsOf = (text: string): Effect.Effect<Words, Failure> =>
  Effect.suspend(() => {
    const words: Array<string> = []
    const end = text.trimEnd().length
    for (let at = 0; at < end; at = word.lastIndex) {
      word.lastIndex = at
      const [, inQuotes, plain] = word.exec(text) ?? []
      if (plain?.startsWith("'") === true) {
        return Effect.fail(wrongUsage(`the clause ${text} has single quotes, which mean nothing here; ${quoting}`))
      }
      if (inQuotes === undefined && plain === undefined) {
        return Effect.fail(wrongUsage(`the clause ${text} has a double quote that does not fit; ${quoting}`))
      }
      try {
        words.push(plain ?? String(JSON.parse(inQuotes as string)))
      } catch {
        return Effect.fail(wrongUsage(`the clause ${text} has a word in quotes that is not JSON: ${inQuotes}`))
      }
    }
    return Effect.succeed(words)
  })

const related = <A>(comparison: Comparison<A>, operator: string | undefined, value: A): Compare | undefined => {
  switch (operator) {
    case "=":
      return comparison.equals(value)
    case "!=":
      return comparison.differs(value)
    case "<":
      return comparison.below(value)
    case "<=":
      return comparison.atMost(value)
    case ">":
      return comparison.above(value)
    case ">=":
      return comparison.atLeast(value)
    default:
      return undefined
  }
}

const figures = {
  version: Compare.version,
  create: Compare.createRevision,
  mod: Compare.modRevision,
  lease: Compare.lease
} as const

const isFigure = (word: string): word is keyof typeof figures => Object.hasOwn(figures, word)

/** A clause that is wrong: as it was read, why, and what can be written. */
const wrongClause = (words: Words, kind: keyof typeof clauses, why?: string): Failure => {
  const read = words.map((text) => /^[^\s"]+$/.test(text) ? text : JSON.stringify(text)).join(" ")
  const name = kind === "if" ? "condition" : "operation"
  return wrongUsage(
    `${read === "" ? "an empty clause" : `'${read}'`} is no ${name}${why === undefined ? "" : `: ${why}`}; write ${
      clauses[kind]
    }`
  )
}

const isNumber = (text: string): boolean => /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))

const operators: ReadonlyArray<string | undefined> = compareOperators

const conditionOf = Effect.fnUntraced(function*(words: Words, encodings: Encodings) {
  const [what = "", keyWord, operator, operand] = words
  if (keyWord === undefined) return yield* wrongClause(words, "if")
  const key = yield* read("key", keyWord, encodings.key)
  let condition: Compare | undefined
  if (words.length === 2) {
    condition = what === "missing" ? Compare.missing(key) : what === "exists" ? Compare.exists(key) : undefined
  } else if (what === "value" && (words.length === 3 || words.length > 4)) {
    return yield* wrongClause(words, "if", words.length === 3 ? `the value is missing, and ${quoting}` : quoting)
  } else if (words.length === 4 && operand !== undefined) {
    if ((what === "value" || isFigure(what)) && !operators.includes(operator)) {
      const why = `${JSON.stringify(operator)} compares nothing, ${operators.join(" ")} do`
      return yield* wrongClause(words, "if", why)
    }
    if (what === "value") {
      condition = related(Compare.value(key), operator, yield* read("value", operand, encodings.value))
    } else if (isFigure(what)) {
      if (!isNumber(operand)) {
        return yield* wrongClause(words, "if", `${JSON.stringify(operand)} is no whole number`)
      }
      condition = related(figures[what](key), operator, Number(operand))
    }
  }
  return condition ?? (yield* wrongClause(words, "if"))
})

const putOf = Effect.fnUntraced(function*(words: Words, key: Uint8Array, encodings: Encodings) {
  const [, , valueWord, leaseWord] = words
  if (valueWord === undefined) return yield* wrongClause(words, "do", `the value is missing, and ${quoting}`)
  if (words.length > 4) return yield* wrongClause(words, "do", quoting)
  if (leaseWord !== undefined && !(isNumber(leaseWord) && Number(leaseWord) > 0)) {
    const why = `the word behind the value is the id of a lease, and ${JSON.stringify(leaseWord)} is none; ${quoting}`
    return yield* wrongClause(words, "do", why)
  }
  const lease = leaseWord === undefined ? undefined : Number(leaseWord)
  return Op.put(key, yield* read("value", valueWord, encodings.value), { lease })
})

const operationOf = Effect.fnUntraced(function*(words: Words, encodings: Encodings) {
  const [what, keyWord] = words
  if (keyWord === undefined) return yield* wrongClause(words, "do")
  const key = yield* read("key", keyWord, encodings.key)
  if (what === "put") return yield* putOf(words, key, encodings)
  if (words.length !== 2) return yield* wrongClause(words, "do", `it has ${words.length} words, and ${quoting}`)
  switch (what) {
    case "delete":
      return Op.delete(key)
    case "delete-prefix":
      return Op.deletePrefix(key)
    case "get":
      return Op.get(key)
    case "scan":
      return Op.scan(key)
    default:
      return yield* wrongClause(words, "do")
  }
})

const isClauses = (value: unknown): value is ReadonlyArray<Words> =>
  Array.isArray(value) &&
  value.every((words) => Array.isArray(words) && words.every((word) => typeof word === "string"))

/** JSON writes a byte in six characters at most. */
const maxInputBytes = 6 * maxTransactionBytes

/** The lists of a transaction in JSON. */
const fromStandardInput = Effect.gen(function*() {
  const text = textOf(yield* allOfInput(maxInputBytes, "a transaction"))
  if (text === undefined) {
    return yield* wrongUsage("standard input is not UTF-8; write keys and values as base64, with --encoding base64")
  }
  const wrong = wrongUsage(
    "standard input is no transaction; write " +
      "{\"if\":[[\"missing\",\"k\"]],\"do\":[[\"put\",\"k\",\"v\"]],\"else\":[[\"get\",\"k\"]]}"
  )
  const parsed: unknown = yield* Effect.try({ try: () => JSON.parse(text), catch: () => wrong })
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return yield* wrong
  const repeated = repeatedName(text)
  if (repeated !== undefined) {
    return yield* wrongUsage(`standard input has ${JSON.stringify(repeated)} twice; put all its clauses into one list`)
  }
  const lists = { if: [], do: [], else: [], ...parsed }
  const unknown = Object.keys(lists).find((name) => !["if", "do", "else"].includes(name))
  if (unknown !== undefined) return yield* wrongUsage(`standard input has the unknown list ${JSON.stringify(unknown)}`)
  for (const [name, list] of Object.entries(lists)) {
    const clause = Array.isArray(list) ? list.findIndex((words) => !isClauses([words])) : -1
    if (clause >= 0) {
      return yield* wrongUsage(
        `${name}[${clause}] of standard input is no list of words in double quotes; numbers are words too`
      )
    }
  }
  return isClauses(lists.if) && isClauses(lists.do) && isClauses(lists.else) ? lists : yield* wrong
})

/** A result as it is printed: bytes in their encoding. */
const printable = (result: unknown, encodings: Encodings) => {
  const entryOf = ({ createRevision, key, lease, modRevision, value, version }: KeyValueEntry) => ({
    ...jsonField("key", key, encodings.key),
    ...jsonField("value", value, encodings.value),
    createRevision,
    modRevision,
    version,
    lease
  })
  if (Option.isOption(result)) {
    const value = Option.getOrUndefined(result)
    return value instanceof KeyValueEntry ? entryOf(value) : null
  }
  if (typeof result === "object" && result !== null && "entries" in result && Array.isArray(result.entries)) {
    return { ...result, entries: result.entries.filter((entry) => entry instanceof KeyValueEntry).map(entryOf) }
  }
  return typeof result === "number" ? { deleted: result } : result
}

const clauseFlag = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(`${description}; default none, may be repeated`), Flag.atLeast(0))

export const txn = Command.make("txn", {
  ...clientFlags,
  ...encodingFlags,
  if: clauseFlag("if", `a condition: ${clauses.if}`),
  do: clauseFlag("do", `an operation if all conditions hold: ${clauses.do}`),
  else: clauseFlag("else", "an operation if one does not"),
  input: Argument.String("input").pipe(
    Argument.withDescription("- reads the transaction from standard input, as JSON"),
    Argument.optional
  )
}, (flags) =>
  Effect.gen(function*() {
    const encodings = encodingsOf(flags)
    const given = flags.if.length + flags.do.length + flags.else.length
    if (Option.isSome(flags.input) && (flags.input.value !== "-" || given > 0)) {
      return yield* wrongUsage("write the transaction with --if, --do and --else, or read it with - alone")
    }
    if (Option.isNone(flags.input) && given === 0) return yield* wrongUsage("the transaction is empty; see --do")
    const lists = Option.isSome(flags.input) ? yield* fromStandardInput : {
      if: yield* Effect.forEach(flags.if, wordsOf),
      do: yield* Effect.forEach(flags.do, wordsOf),
      else: yield* Effect.forEach(flags.else, wordsOf)
    }
    const operations = (list: ReadonlyArray<Words>): Effect.Effect<Ops, Failure> =>
      Effect.forEach(list, (words) => operationOf(words, encodings))
    const transaction = {
      if: yield* Effect.forEach(lists.if, (words) => conditionOf(words, encodings)),
      do: yield* operations(lists.do),
      else: yield* operations(lists.else)
    }
    const { results, revision, succeeded } = yield* withWriter(
      flags,
      KeyValue.use((kv) => kv.transact(transaction))
    )
    const printed = results.map((result) => printable(result, encodings))
    if (flags.json) return yield* Output.json({ succeeded, revision, results: printed })
    yield* Output.line(
      `${succeeded ? "the conditions hold" : "a condition does not hold"}; ${
        succeeded ? "do" : "else"
      } at revision ${revision}`
    )
    yield* Output.jsonLines(printed)
  })).pipe(
    Command.withDescription(
      "Compare keys, then do one list of operations or the other, atomically. In a clause, a word with blanks " +
        "goes in double quotes, as in --do 'put KEY \"hello world\"', and an empty one is written \"\"."
    ),
    Command.withExamples([
      {
        command: "flaredb txn --if \"missing orders/17\" --do \"put orders/17 paid\" --else \"get orders/17\"",
        description: "Create a key unless it exists"
      },
      {
        command: "echo '{\"do\":[[\"get\",\"a\"],[\"get\",\"b\"]]}' | flaredb txn - --json",
        description: "Read two keys at one revision"
      }
    ])
  )
