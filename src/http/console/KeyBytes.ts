/** Keys and values in what a console asks and gets: bytes as Base64, because they need not be text. */
import { Schema } from "effect"

/** Bytes as Base64. */
export const Bytes = Schema.Uint8ArrayFromBase64

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")
