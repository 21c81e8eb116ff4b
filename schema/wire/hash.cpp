#include "schema/wire/hash.hpp"
