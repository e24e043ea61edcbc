/** Replies in the words of the plain model, to compare the two. */
import type { OperationResult, Reply } from "../../src/kv/model/Reply.ts"

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

/** A reply in the words of the model. */
export const words = (reply: Reply): unknown => {
  switch (reply._tag) {
    case "PutReply":
      return `created ${reply.createRevision} version ${reply.version}`
    case "DeleteReply":
      return reply.deleted ? 1 : 0
    case "TransactionReply":
      return [reply.succeeded, ...reply.results.map(resultWords)]
    case "LeaseReply":
      return `lease ${reply.lease}`
    case "RevokedReply":
      return reply.deleted
    case "SessionReply":
      return `session ${reply.session}`
    case "RefusedReply":
      return reply.reason
    default:
      return "done"
  }
}

const resultWords = (result: OperationResult): unknown => {
  switch (result._tag) {
    case "Put":
      return `created ${result.createRevision} version ${result.version}`
    case "Delete":
      return result.deleted
    case "Get":
      return result.record === undefined ? undefined : text(result.record.value)
    case "Range":
      return [result.more, ...result.rows.map(({ key, record }) => `${text(key)}=${text(record.value)}`)]
  }
}
