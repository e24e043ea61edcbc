/** Many keys at a time, as JSON lines on standard input: `put --rows` and `get --rows`. */
import { byteText } from "../../bytes/Bytes.ts"
import { Effect, Option, Result } from "effect"
import type { KeyValue } from "../../client/KeyValue.ts"
import { maxKeyBytes, maxValueBytes } from "../../kv/model/Limits.ts"
import { counted } from "./Counted.ts"
import type { Encoding, Encodings } from "../input/Encoding.ts"
import { encodings as knownEncodings, jsonField, read } from "../input/Encoding.ts"
import { entryJson } from "./EntryJson.ts"
import type { Failure } from "./Failure.ts"
import { amended, notFound, wrongUsage } from "./Failure.ts"
import { repeatedName } from "../../RepeatedName.ts"
import * as Output from "./Output.ts"
import { make as makeProgress } from "./Progress.ts"
import type { Line } from "../input/StandardInput.ts"
import { forEachLines } from "../input/StandardInput.ts"

/** JSON writes a byte in six characters at most. */
const maxLineBytes = 6 * (maxKeyBytes + maxValueBytes) + 1_024

/** Puts at a time, at most. Their values were all in one piece of standard input, which bounds their bytes. */
const maxPuts = 512

/** Gets at a time, at most: each may be answered with a value of 1 MiB. */
const maxGets = 64

const isEncoding = (value: unknown): value is Encoding => knownEncodings.some((known) => known === value)

type Fields = Readonly<Record<string, unknown>>

const fieldsOf = ({ number, text }: Line): Effect.Effect<Fields, Failure> =>
  Effect.suspend(() => {
    let fields: unknown
    try {
      fields = JSON.parse(text)
    } catch {
      fields = undefined
    }
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) {
      return Effect.fail(wrongUsage(`line ${number} is no JSON object such as flaredb scan --json prints`))
    }
    const repeated = repeatedName(text)
    return repeated === undefined
      ? Effect.succeed(fields as Fields)
      : Effect.fail(wrongUsage(`line ${number} has ${JSON.stringify(repeated)} twice`))
  })

/** The bytes of a field, in the encoding that the row names beside it or else in the command's. */
const bytesOf = Effect.fnUntraced(function*(fields: Fields, name: "key" | "value", number: number, asked: Encoding) {
  const text = fields[name]
  const encoding = fields[`${name}Encoding`] ?? asked
  if (typeof text !== "string") return yield* wrongUsage(`line ${number} has no ${name}`)
  if (!isEncoding(encoding)) {
    return yield* wrongUsage(
      `line ${number} has the ${name}Encoding ${JSON.stringify(encoding)}, which is none of ` +
        knownEncodings.join(", ")
    )
  }
  return yield* read(`${name} of line ${number}`, text, encoding)
})

/** The mark of a scan that `--limit` ended. */
const isMore = (fields: Fields): boolean => fields["more"] === true && fields["key"] === undefined

const at = (number: number, error: unknown, rest: string): Failure =>
  amended(error, (line) => `line ${number}: ${line}${rest}`)

interface Row {
  readonly number: number
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface PutRowsOptions {
  readonly encodings: Encodings
  readonly lease: number | undefined
  readonly json: boolean
  /** Whether progress was asked for, either way. */
  readonly progress: Option.Option<boolean>
}

/** The rows of standard input that wait to be put, and what came of those before. */
class RowPuts {
  rows = 0
  revision = 0
  /** Rows that named a lease and were put without it. */
  leased = 0
  /** Whether the scan that printed the rows ended at its limit. */
  isCut = false
  /** Why a row was not put: it says by itself how far that went. */
  refusal: Failure | undefined
  private readonly kv: KeyValue["Service"]
  private readonly options: PutRowsOptions
  private waiting: Array<Row> = []
  private names = new Set<string>()

  constructor(kv: KeyValue["Service"], options: PutRowsOptions) {
    this.kv = kv
    this.options = options
  }

  /** Puts what waits, all at once. */
  readonly flush = Effect.fnUntraced({ self: this }, function*(this: RowPuts) {
    const batch = this.waiting
    this.waiting = []
    this.names = new Set()
    const { lease } = this.options
    const results = yield* Effect.forEach(
      batch,
      ({ key, value }) => Effect.result(this.kv.put(key, value, { lease })),
      { concurrency: "unbounded" }
    )
    for (const result of results) {
      if (Result.isFailure(result)) continue
      this.rows += 1
      this.revision = Math.max(this.revision, result.success.revision)
    }
    const failing = results.findIndex(Result.isFailure)
    const row = batch[failing]
    const result = results[failing]
    if (row === undefined || result === undefined || Result.isSuccess(result)) return
    const last = batch[batch.length - 1]?.number
    this.refusal = at(
      row.number,
      result.failure,
      `; the lines before it were put, and perhaps some up to line ${last}: ${counted(this.rows, "row")} in all. ` +
        "Putting them again does no harm"
    )
    return yield* this.refusal
  })

  private readonly take = Effect.fnUntraced({ self: this }, function*(this: RowPuts, line: Line) {
    const { encodings, lease } = this.options
    const fields = yield* fieldsOf(line)
    if (isMore(fields)) {
      this.isCut = true
      return
    }
    const key = yield* bytesOf(fields, "key", line.number, encodings.key)
    const value = yield* bytesOf(fields, "value", line.number, encodings.value)
    if (typeof fields["lease"] === "number" && lease === undefined) this.leased += 1
    if (this.waiting.length >= maxPuts || this.names.has(byteText(key))) yield* this.flush()
    this.waiting.push({ number: line.number, key, value })
    this.names.add(byteText(key))
  })

  /** A row that is wrong ends the command once those before it were put. */
  readonly takeAll = Effect.fnUntraced({ self: this }, function*(this: RowPuts, lines: ReadonlyArray<Line>) {
    for (const line of lines) {
      if (line.text.trim() === "") continue
      yield* Effect.catchTag(
        this.take(line),
        "Failure",
        (failure) => Effect.andThen(this.flush(), Effect.fail(failure))
      )
    }
    yield* this.flush()
  })
}

/** Puts the rows of standard input. Rows are put side by side, those of one key one after the other. */
export const putRows = Effect.fnUntraced(function*(kv: KeyValue["Service"], options: PutRowsOptions) {
  const { json } = options
  const progress = yield* makeProgress("put", { progress: options.progress, json })
  const puts = new RowPuts(kv, options)
  const takeAll = (lines: ReadonlyArray<Line>, bytesRead: number) =>
    Effect.andThen(puts.takeAll(lines), progress.report(bytesRead, 0))
  yield* forEachLines(maxLineBytes, takeAll).pipe(
    Effect.mapError((failure) =>
      failure === puts.refusal
        ? failure
        : amended(failure, (line) => `${line}; the lines before it were put, ${counted(puts.rows, "row")} in all`)
    ),
    Effect.onInterrupt(() =>
      Output.problem(
        `flaredb: interrupted; ${counted(puts.rows, "row")} put so far, and perhaps some of the next ${maxPuts}`
      )
    ),
    Effect.ensuring(progress.end)
  )
  const { isCut, leased, revision, rows } = puts
  if (leased > 0) {
    yield* Output.problem(`${leased} rows had a lease, and were put without one; --lease names one for all`)
  }
  if (isCut) yield* Output.problem("the rows were cut off by --limit of the scan that printed them: there are more")
  yield* json
    ? Output.json({ rows, revision })
    : Output.line(`${counted(rows, "row")} put${rows === 0 ? "" : `, up to revision ${revision}`}`)
})

/** Prints the rows of the keys that standard input names, in its order. */
export const getRows = Effect.fnUntraced(function*(
  kv: KeyValue["Service"],
  { consistency, encodings }: { readonly encodings: Encodings; readonly consistency: "stale" | "linearizable" }
) {
  let rows = 0
  let missing = 0

  const answer = Effect.fnUntraced(function*(line: Line) {
    const key = yield* bytesOf(yield* fieldsOf(line), "key", line.number, encodings.key)
    const found = yield* Effect.mapError(kv.get(key, { consistency }), (error) => at(line.number, error, ""))
    return Option.match(found, {
      onSome: (entry): object => entryJson(entry, encodings),
      onNone: (): object => ({ ...jsonField("key", key, encodings.key), missing: true })
    })
  })

  yield* forEachLines(
    maxLineBytes,
    Effect.fnUntraced(function*(lines) {
      const named = lines.filter(({ text }) => text.trim() !== "")
      for (let i = 0; i < named.length; i += maxGets) {
        const results = yield* Effect.forEach(
          named.slice(i, i + maxGets),
          (line) => Effect.result(answer(line)),
          { concurrency: "unbounded" }
        )
        const failing = results.find(Result.isFailure)
        const answers = results.slice(0, failing === undefined ? results.length : results.indexOf(failing))
          .flatMap((result) => Result.isSuccess(result) ? [result.success] : [])
        rows += answers.length
        missing += answers.filter((row) => "missing" in row).length
        yield* Output.jsonLines(answers)
        if (failing !== undefined) return yield* failing.failure
      }
    })
  ).pipe(
    Effect.mapError((failure) => amended(failure, (line) => `${line}; ${counted(rows, "row")} printed`))
  )
  if (missing > 0) return yield* notFound(`${missing} of ${rows} keys do not exist`)
})
