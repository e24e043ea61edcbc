/**
 * `flaredb txn`: a transaction in words. Conditions and operations are lists of words, given as text (words with blanks in
 * double quotes) or as JSON on standard input, where each is an array of strings.
 */
import { Effect, Option, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { KeyValueEntry } from "../client/Entry.ts"
import { KeyValue } from "../client/KeyValue.ts"
import type { Comparison, Ops } from "../client/Txn.ts"
import { Compare, Op } from "../client/Txn.ts"
import { maxTransactionBytes } from "../kv/Limits.ts"
import { clientFlags, withWriter } from "./ClientFlags.ts"
import type { Encoding } from "./Encoding.ts"
import { encodingFlag, read, write } from "./Encoding.ts"
import type { Failure } from "./Failure.ts"
import { failed, wrongUsage } from "./Failure.ts"
import * as Output from "./Output.ts"

type Words = ReadonlyArray<string>

const clauses = {
  if: "missing KEY | exists KEY | value KEY = TEXT | version, create, mod or lease KEY = N (or != < <= > >=)",
  do: "put KEY VALUE [LEASE] | delete KEY | delete-prefix PREFIX | get KEY | scan PREFIX"
} as const

/** The words of a clause. */
const wordsOf = (text: string): Effect.Effect<Words, Failure> => {
  const words = text.match(/"(?:[^"\\]|\\.)*"|[^\s"]+/g) ?? []
  return Effect.try({
    try: () => words.map((word) => word.startsWith("\"") ? String(JSON.parse(word)) : word),
    catch: () => wrongUsage(`the clause ${text} has a quoted word that is not JSON`)
  })
}

const numberOf = (text: string): Effect.Effect<number, Failure> =>
  /^\d{1,16}$/.test(text)
    ? Effect.succeed(Number(text))
    : Effect.fail(wrongUsage(`${JSON.stringify(text)} is no number`))

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

const conditionOf = Effect.fnUntraced(function*(words: Words, encoding: Encoding) {
  const wrong = wrongUsage(`${JSON.stringify(words.join(" "))} is no condition; write ${clauses.if}`)
  const [what = "", keyWord, operator, operand] = words
  if (keyWord === undefined) return yield* wrong
  const key = yield* read("key", keyWord, encoding)
  let condition: Compare | undefined
  if (words.length === 2) {
    condition = what === "missing" ? Compare.missing(key) : what === "exists" ? Compare.exists(key) : undefined
  } else if (words.length === 4 && operand !== undefined) {
    if (what === "value") condition = related(Compare.value(key), operator, yield* read("value", operand, encoding))
    else if (isFigure(what)) condition = related(figures[what](key), operator, yield* numberOf(operand))
  }
  return condition ?? (yield* wrong)
})

const operationOf = Effect.fnUntraced(function*(words: Words, encoding: Encoding) {
  const wrong = wrongUsage(`${JSON.stringify(words.join(" "))} is no operation; write ${clauses.do}`)
  const [what, keyWord, valueWord, leaseWord] = words
  if (keyWord === undefined) return yield* wrong
  const key = yield* read("key", keyWord, encoding)
  if (what === "put" && valueWord !== undefined && words.length <= 4) {
    const lease = leaseWord === undefined ? undefined : yield* numberOf(leaseWord)
    return Op.put(key, yield* read("value", valueWord, encoding), { lease })
  }
  if (words.length !== 2) return yield* wrong
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
      return yield* wrong
  }
})

const isClauses = (value: unknown): value is ReadonlyArray<Words> =>
  Array.isArray(value) &&
  value.every((words) => Array.isArray(words) && words.every((word) => typeof word === "string"))

/** The lists of a transaction in JSON. */
const fromStandardInput = Effect.gen(function*() {
  const { stdin } = yield* Stdio.Stdio
  const text = yield* Stream.mkString(Stream.decodeText(stdin)).pipe(
    Effect.mapError((error) => failed(`standard input cannot be read: ${error.message}`))
  )
  const wrong = wrongUsage(
    "standard input is no transaction; write {\"if\":[[\"missing\",\"k\"]],\"do\":[[\"put\",\"k\",\"v\"]],\"else\":[[\"get\",\"k\"]]}"
  )
  if (text.length > 2 * maxTransactionBytes) {
    return yield* wrongUsage("standard input is larger than a transaction may be")
  }
  const parsed: unknown = yield* Effect.try({ try: () => JSON.parse(text), catch: () => wrong })
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return yield* wrong
  const lists = { if: [], do: [], else: [], ...parsed }
  const unknown = Object.keys(lists).find((name) => !["if", "do", "else"].includes(name))
  if (unknown !== undefined) return yield* wrongUsage(`standard input has the unknown list ${JSON.stringify(unknown)}`)
  return isClauses(lists.if) && isClauses(lists.do) && isClauses(lists.else) ? lists : yield* wrong
})

/** A result as it is printed: bytes in their encoding. */
const printable = Effect.fnUntraced(function*(result: unknown, encoding: Encoding) {
  const entryOf = Effect.fnUntraced(
    function*({ createRevision, key, lease, modRevision, value, version }: KeyValueEntry) {
      return {
        key: yield* write("key", key, encoding),
        value: yield* write("value", value, encoding),
        createRevision,
        modRevision,
        version,
        lease
      }
    }
  )
  if (Option.isOption(result)) {
    const value = Option.getOrUndefined(result)
    return value instanceof KeyValueEntry ? yield* entryOf(value) : null
  }
  if (typeof result === "object" && result !== null && "entries" in result && Array.isArray(result.entries)) {
    const entries = result.entries.filter((entry) => entry instanceof KeyValueEntry)
    return { ...result, entries: yield* Effect.forEach(entries, entryOf) }
  }
  return typeof result === "number" ? { deleted: result } : result
})

const clauseFlag = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.atLeast(0))

export const txn = Command.make("txn", {
  ...clientFlags,
  encoding: encodingFlag,
  if: clauseFlag("if", `a condition: ${clauses.if}`),
  do: clauseFlag("do", `an operation if all conditions hold: ${clauses.do}`),
  else: clauseFlag("else", "an operation if one does not"),
  input: Argument.String("input").pipe(
    Argument.withDescription("- reads the transaction from standard input, as JSON"),
    Argument.optional
  )
}, (flags) =>
  Effect.gen(function*() {
    const { encoding } = flags
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
      Effect.forEach(list, (words) => operationOf(words, encoding))
    const transaction = {
      if: yield* Effect.forEach(lists.if, (words) => conditionOf(words, encoding)),
      do: yield* operations(lists.do),
      else: yield* operations(lists.else)
    }
    const { results, revision, succeeded } = yield* withWriter(
      flags,
      KeyValue.use((kv) => kv.transact(transaction))
    )
    const printed = yield* Effect.forEach(results, (result) => printable(result, encoding))
    if (flags.json) return yield* Output.json({ succeeded, revision, results: printed })
    yield* Output.line(
      `${succeeded ? "the conditions hold" : "a condition does not hold"}; ${
        succeeded ? "do" : "else"
      } at revision ${revision}`
    )
    for (const result of printed) yield* Output.json(result)
  })).pipe(
    Command.withDescription("Compare keys, then do one list of operations or the other, all at one moment."),
    Command.withExamples([
      {
        command: "flaredb txn --if \"missing orders/17\" --do \"put orders/17 paid\" --else \"get orders/17\"",
        description: "Create a key unless it exists"
      },
      {
        command: "echo '{\"do\":[[\"get\",\"a\"],[\"get\",\"b\"]]}' | flaredb txn - --json",
        description: "Read two keys of one moment"
      }
    ])
  )
