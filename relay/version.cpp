#include "relay/version.hpp"

namespace godwit::relay {

std::string_view version() {
  return GODWIT_VERSION;
}

}  // namespace godwit::relay
