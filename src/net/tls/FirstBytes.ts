/** Tells TLS from frames and from HTTP by the first bytes of a connection, and leaves them to who reads on. */
import type { Socket } from "node:net"

/** A TLS record of a handshake, and the major version. A frame of that length has the schema's fingerprint there. */
const handshakeRecord = 0x16
const majorVersion = 0x03

/** Whether bytes begin a TLS handshake; `undefined` while there are too few to say. */
export const beginsTls = (bytes: Uint8Array): boolean | undefined => {
  if (bytes.byteLength === 0) return undefined
  if (bytes[0] !== handshakeRecord) return false
  return bytes.byteLength === 1 ? undefined : bytes[1] === majorVersion
}

/**
 * Calls back once the first bytes of a connection have come. It is paused then, with these bytes still to be read; a
 * connection that ends before is never told of.
 */
export const whetherTls = (socket: Socket, done: (isTls: boolean) => void): void => {
  let head: Buffer | undefined
  const onData = (chunk: Buffer) => {
    head = head === undefined ? chunk : Buffer.concat([head, chunk])
    const isTls = beginsTls(head)
    if (isTls === undefined) return
    socket.off("data", onData)
    socket.pause()
    socket.unshift(head)
    done(isTls)
  }
  socket.on("data", onData)
  socket.resume()
}
