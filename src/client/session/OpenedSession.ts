/** A session that was opened, with what proves that its commands are this client's. */
export interface OpenedSession {
  readonly id: number
  readonly secret: Uint8Array
}
