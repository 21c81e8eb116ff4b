#include "schema/net/loop.hpp"
