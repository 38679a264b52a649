from condi_lib.models.student import WIDTHS, build_student
from condi_lib.models.teacher import TEACHERS, build_teacher, to_input

__all__ = ["TEACHERS", "WIDTHS", "build_student", "build_teacher", "to_input"]
