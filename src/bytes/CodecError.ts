/** Bytes that are not what they claim to be. */
export class CodecError {
  readonly _tag = "CodecError"
  readonly message: string
  constructor(message: string) {
    this.message = message
  }
}
