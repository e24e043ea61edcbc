/**
 * Conditions in headers: `If-Match: "17"` holds when the key's last put took revision 17, `If-Match: *` when the key
 * exists, and `If-None-Match: *` when it does not. The tag of a key is its revision and not its version: a key that was
 * deleted and put again has old versions once more, and never an old revision.
 */
import { InvalidArgument } from "../../FlareDbError.ts"
import type { Compare } from "../../kv/model/Transaction.ts"

export const etagOf = (revision: number): string => `"${revision}"`

/** The revision that a tag names. */
const revisionOf = (etag: string): number | undefined => {
  const [, digits] = /^"(\d{1,16})"$|^\d{1,16}$/.exec(etag.trim()) ?? []
  const revision = Number(digits ?? etag.trim())
  return Number.isSafeInteger(revision) && revision > 0 ? revision : undefined
}

export interface PreconditionHeaders {
  readonly "if-match"?: string
  readonly "if-none-match"?: string
}

const exists = (key: Uint8Array, wanted: boolean): Compare => ({ _tag: "CompareExists", key, exists: wanted })

/** The conditions of a write, which must all hold. */
export const conditionsOf = (
  key: Uint8Array,
  headers: PreconditionHeaders
): ReadonlyArray<Compare> | InvalidArgument => {
  const { "if-match": match, "if-none-match": noneMatch } = headers
  const conditions: Array<Compare> = []
  if (match?.trim() === "*") conditions.push(exists(key, true))
  else if (match !== undefined) {
    const value = revisionOf(match)
    if (value === undefined) {
      return new InvalidArgument({
        field: "If-Match",
        problem: `${JSON.stringify(match.slice(0, 60))} is neither * nor one tag, as "17" in the ETag of a key`
      })
    }
    conditions.push({ _tag: "CompareNumber", key, figure: "modRevision", operator: "=", value })
  }
  if (noneMatch !== undefined) {
    if (noneMatch.trim() !== "*") {
      return new InvalidArgument({
        field: "If-None-Match",
        problem: `${JSON.stringify(noneMatch.slice(0, 60))} is not *, which is all that a write takes`
      })
    }
    conditions.push(exists(key, false))
  }
  return conditions
}

/** Whether a reader that has these tags has the entry already. */
export const isKnown = (noneMatch: string | undefined, modRevision: number): boolean =>
  noneMatch !== undefined &&
  noneMatch.split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etagOf(modRevision))
