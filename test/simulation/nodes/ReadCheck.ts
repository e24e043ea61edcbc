/** The answer to a read of a simulated cluster, held against the {@link Ledger}. */
import type { Query } from "../../../src/kv/model/Query.ts"
import type { Reply } from "../../../src/kv/model/Reply.ts"
import { demand } from "../engine/Oracle.ts"
import type { Ledger } from "./Ledger.ts"
import { latin, sameRecord } from "./Ledger.ts"

const valueOf = (record: Parameters<typeof sameRecord>[0]): string =>
  record === undefined
    ? "gone"
    : `${latin(record.value)} (${record.createRevision}/${record.modRevision}/${record.version})`

/** A read shows the state as it was at its revision, and nothing else. */
export const checkReply = (ledger: Ledger, name: string, query: Query, reply: Reply): void => {
  const { revision } = reply
  const wrong = (detail: string) =>
    demand(false, "the answer is the model's", () => `${name} at ${revision}: ${detail}`)
  const check = (key: Uint8Array, record: Parameters<typeof sameRecord>[0]) => {
    const known = ledger.recordAt(latin(key), revision)
    if (!sameRecord(record, known)) wrong(`${latin(key)} is ${valueOf(record)}, the model has ${valueOf(known)}`)
  }
  if (query._tag === "Get" && reply._tag === "GetReply") return check(query.key, reply.record)
  if (query._tag === "Count" && reply._tag === "CountReply") {
    const { length } = ledger.rowsAt(query.range, revision)
    if (reply.count !== length) wrong(`counts ${reply.count}, the model ${length}`)
    return
  }
  if (query._tag === "Scan" && reply._tag === "ScanReply") {
    const rows = [...ledger.rowsAt(query.range, revision)]
    if (query.reverse) rows.reverse()
    const page = rows.slice(0, query.limit)
    const names = (keys: ReadonlyArray<string>) => keys.join(" ")
    const seen = names(reply.rows.map(({ key }) => latin(key)))
    if (seen !== names(page.map(([key]) => key))) wrong(`scans ${seen}, the model ${names(page.map(([key]) => key))}`)
    for (const { key, record } of reply.rows) check(key, record)
    if (reply.more !== rows.length > query.limit) wrong(`says more: ${reply.more}`)
    return
  }
  if (query._tag === "Transact" && reply._tag === "TransactionReply") {
    for (const [at, operation] of query.transaction.success.entries()) {
      const result = reply.results[at]
      if (operation._tag === "Get" && result?._tag === "Get") check(operation.key, result.record)
      else wrong(`operation ${at} is answered ${result?._tag}`)
    }
    return
  }
  wrong(`is answered ${reply._tag}`)
}
