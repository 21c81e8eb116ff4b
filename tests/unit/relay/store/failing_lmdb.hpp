// LMDB for this program, of which one call can be made to fail.
#pragma once

namespace godwit::relay::store::testing {

// The call after `calls` more, of any thread, fails as a disk does; the ones behind it do not.
void fail_lmdb_after(int calls);
// No call fails any more. True when one did.
[[nodiscard]] bool stop_failing_lmdb();

}  // namespace godwit::relay::store::testing
