/**
 * Looks at the kinds of the records in RocksDB's manifest before RocksDB reads it. It does not come back from every
 * damage there: a thread works for ever, and the start says nothing.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs"
import { join } from "node:path"
import { isMissing } from "../../ErrorCode.ts"

/** A file is made of blocks, and a record ends with its block: checksum (4 bytes), length (2), kind (1), data. */
const blockBytes = 32_768
const recordHeaderBytes = 7

/** A whole record, or the first, a middle or the last part of one that goes over several blocks; 0 behind the last. */
const lastKind = 4

/** The offset of the first record of another kind in a block, if it has one. Ends early where lengths make no sense. */
const strangeIn = (block: Buffer): number | undefined => {
  for (let at = 0; at + recordHeaderBytes <= block.byteLength;) {
    if (block.readUInt8(at + 6) > lastKind) return at
    at += recordHeaderBytes + block.readUInt16LE(at + 4)
  }
  return undefined
}

const strangeAt = (file: number): number | undefined => {
  const block = Buffer.allocUnsafe(blockBytes)
  for (let begin = 0;; begin += blockBytes) {
    const bytesRead = readSync(file, block, 0, blockBytes, begin)
    if (bytesRead === 0) return undefined
    const found = strangeIn(block.subarray(0, bytesRead))
    if (found !== undefined) return begin + found
  }
}

/** What is wrong with the manifest in use of a directory, if one of its records is of no kind. */
export const unreadableManifest = (path: string): string | undefined => {
  try {
    const name = readFileSync(join(path, "CURRENT"), "utf8").trim()
    if (!/^MANIFEST-\d+$/.test(name)) return undefined
    const file = openSync(join(path, name), "r")
    try {
      const at = strangeAt(file)
      return at === undefined ? undefined : `${name} is damaged: the record at ${at} is of no kind that it can have`
    } finally {
      closeSync(file)
    }
  } catch (error) {
    // RocksDB says so itself, or the directory is in use and begins another one.
    if (isMissing(error)) return undefined
    throw error
  }
}
