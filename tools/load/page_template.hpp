// load/page_template: page.html with its scripts in it, made into bytes at build time by embed.py.
#pragma once

#include <string_view>

namespace godwit::load {

// Has @VERDICT@ and, once, @DATA@ where a report goes.
std::string_view page_template();

}  // namespace godwit::load
