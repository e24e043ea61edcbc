/** Secrets of tokens: where they come from, and what the cluster keeps of them. */
import { createHash, randomBytes } from "node:crypto"
import { Redacted } from "effect"
import { formatToken, tokenSecretBytes } from "./model/access/Token.ts"

/** What the cluster keeps of a secret. */
export const hashOfSecret = (secret: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(secret).digest())

export interface NewToken {
  /** For its user, once: nothing can show it again. */
  readonly token: Redacted.Redacted<string>
  /** For the cluster: what `AddToken` carries. */
  readonly hash: Uint8Array
}

/** A new token of a user, from the random source of the operating system. */
export const makeToken = (name: string): NewToken => {
  const secret = randomBytes(tokenSecretBytes)
  return { token: Redacted.make(formatToken(name, secret)), hash: hashOfSecret(secret) }
}
