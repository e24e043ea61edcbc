/**
 * No test of the project opens a socket; `vitest.config.ts` loads this before each file. What listens on a port or dials
 * one is in the project `ports`.
 */
import { afterAll, assert } from "vitest"
import { withoutSockets } from "./Sockets.ts"

const { restore, tried } = withoutSockets()

// The next file of this worker may be of another project.
afterAll(() => {
  restore()
  assert.deepStrictEqual(tried, [], "sockets that were opened: the file belongs to the project `ports`")
})
