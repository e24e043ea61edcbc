/** What queries found lately: it decides what is reserved for the next ones, and how many gets are read at once. */
import { maxOwnerLength, maxPageBytes, maxPageBytesOf, maxScanLimit, maxTransactionReadBytes } from "./model/Limits.ts"
import type { Get, Query } from "./model/Query.ts"

/** Gets that are read at once when what they find is small. */
export const getChunk = 64

/** Bytes that the gets of one read find, as far as can be known before. */
const getChunkBytes = 1024 * 1024

/** What is left of an expectation that was too high, with each smaller answer. */
const decline = 0.8

/** Most bytes of the answer to a scan. */
const maxScanBytes = maxPageBytesOf(maxScanLimit, false)

/** Least bytes that are reserved for what one get or range finds. */
export const getBytes = 256 * 1024

export interface FoundLately {
  /** Rises at once, and falls a little with each read that finds less. */
  bytesPerGet: number
  /** Bytes of the answers to what reads ranges. It falls with each smaller one. */
  readonly bytesPerPage: { Scan: number; Transact: number }
}

/** Before anything is known gets count as small, and pages as large as they can be. */
export const nothingFound = (): FoundLately => ({
  bytesPerGet: 1,
  bytesPerPage: { Scan: maxScanBytes, Transact: maxTransactionReadBytes }
})

/** Bytes of a lease in the list of all. */
const leaseRowBytes = 32 + maxOwnerLength

const smallReplyBytes = 64

/** Six numbers, an owner and a caller. */
const sessionRowBytes = 60 + 2 * maxOwnerLength

/** How many gets are read at once. */
export const atOnce = ({ bytesPerGet }: FoundLately): number =>
  Math.min(getChunk, Math.ceil(getChunkBytes / bytesPerGet))

/**
 * Bytes that a query may be answered with, as far as they are known before it is carried out. Queries of ranges mostly
 * find far less than the most that they may: they count like those before them. `concurrentQueries` bounds how much
 * more can be found than was reserved.
 */
export const reservedFor = (query: Exclude<Query, Get>, leases: number, { bytesPerPage }: FoundLately): number => {
  switch (query._tag) {
    case "Scan":
      return Math.min(maxPageBytesOf(query.limit, query.keysOnly), Math.max(getBytes, bytesPerPage.Scan))
    case "Count":
      return smallReplyBytes
    case "Transact":
      return Math.max(getBytes, bytesPerPage.Transact)
    case "Leases":
      return smallReplyBytes + leases * leaseRowBytes
    case "LeaseKeys":
      return maxPageBytes
    case "Sessions":
      return smallReplyBytes + query.limit * sessionRowBytes
    case "Roles":
    case "Users":
      return maxPageBytes
  }
}

/** A query was answered with so many bytes, more than none. */
export const noteAnswer = ({ bytesPerPage }: FoundLately, { _tag }: Query, bytes: number): void => {
  if (_tag !== "Scan" && _tag !== "Transact") return
  bytesPerPage[_tag] = Math.max(bytes, bytesPerPage[_tag] * decline)
}
