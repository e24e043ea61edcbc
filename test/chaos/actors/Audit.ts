/** What a run has to answer for once its messages are sent: each took effect once, and nothing waits any more. */
import { Effect, Stream } from "effect"
import { ClusterKeys } from "../../../src/actors/cluster/ClusterKeys.ts"
import { StoredMessages } from "../../../src/actors/cluster/StoredMessages.ts"
import { KeyValue } from "../../../src/client/index.ts"
import type { Ledger } from "./Load.ts"
import { countsPrefix, effectsPrefix, message, Tally } from "./Tally.ts"

/** How long what was sent may take to be processed once nothing is wrong. */
const drainTime = "2 minutes"

const pause = "200 millis"

const some = (keys: ReadonlyArray<string>): string => `${keys.slice(0, 5).join(", ")}${keys.length > 5 ? " …" : ""}`

export const audit = Effect.fnUntraced(function*(ledger: Ledger) {
  const kv = yield* KeyValue
  const { queues } = new ClusterKeys({})
  const problems: Array<string> = []
  const waiting = Effect.map(kv.scan(queues, { limit: 10, keysOnly: true }), ({ entries }) => entries.length)
  const missing = Effect.map(kv.count(effectsPrefix), (found) => found < ledger.expected.size)
  const drained = Effect.gen(function*() {
    while ((yield* missing) || (yield* waiting) > 0) yield* Effect.sleep(pause)
  })
  yield* Effect.ignore(Effect.timeout(drained, drainTime))

  // A message that is sent once more is answered as before, and changes nothing.
  const tally = yield* Tally.client
  yield* Effect.forEach(
    ledger.recorded,
    ({ entity, id }) => ledger.answer(entity, id, tally(entity).Record(message(id))),
    { concurrency: "unbounded", discard: true }
  )

  const found = new Map<string, number>()
  const lost = new Set(ledger.expected)
  const unknown: Array<string> = []
  yield* Stream.runForEach(kv.scanAll(effectsPrefix), ({ keyText, version }) =>
    Effect.sync(() => {
      if (!lost.delete(keyText)) unknown.push(keyText)
      if (version !== 1) problems.push(`${keyText} took effect ${version} times`)
      const entity = keyText.slice(effectsPrefix.length, keyText.lastIndexOf("/"))
      found.set(entity, (found.get(entity) ?? 0) + 1)
    }))
  const counts = new Map<string, number>()
  yield* Stream.runForEach(
    kv.scanAll(countsPrefix),
    ({ keyText, text }) => Effect.sync(() => counts.set(keyText.slice(countsPrefix.length), Number(text)))
  )
  for (const [entity, effects] of found) {
    if (counts.get(entity) !== effects) problems.push(`${entity} counted ${counts.get(entity)} of ${effects} effects`)
  }
  if (lost.size > 0) problems.push(`${lost.size} messages are lost: ${some([...lost])}`)
  if (unknown.length > 0) problems.push(`${unknown.length} effects are of no message: ${some(unknown)}`)
  const left = yield* waiting
  if (left > 0) problems.push(`at least ${left} rows are left in the queues, and all their messages were processed`)
  problems.push(...ledger.wrong.slice(0, 10))
  return { problems, effects: [...found.values()].reduce((sum, effects) => sum + effects, 0) }
})

/** The messages that have waited longest for their answers, and what became of them. */
export const unanswered = Effect.fnUntraced(function*(ledger: Ledger) {
  const kv = yield* KeyValue
  const keys = new ClusterKeys({})
  const longest = [...ledger.waiting].sort(([, a], [, b]) => a - b).slice(0, 5)
  return yield* Effect.forEach(
    longest,
    Effect.fnUntraced(function*([key, calledMs]) {
      const [entity = "", id = ""] = key.slice(effectsPrefix.length).split("/")
      const seconds = ((performance.now() - calledMs) / 1_000).toFixed(0)
      const effect = yield* kv.get(key)
      const line = `${key} waits for ${seconds} s; ${
        effect._tag === "Some" ? "its effect is there" : "it has no effect"
      }`
      for (const { _tag: tag } of Tally.protocol.requests.values()) {
        const messages = new StoredMessages(keys, kv)
        const found = yield* messages.keyedOf(Tally.type, entity, `${Tally.type}/${entity}/${tag}/${id}`)
        if (found === undefined) continue
        const exit = (yield* messages.find(found))?.finished
        return `${line}; its exit: ${exit === undefined ? "none" : JSON.stringify(exit)}`
      }
      return `${line}; it is not saved`
    })
  )
})
