"""Who may do what with a project."""

from sqlalchemy import ColumnElement, true

from database.projects.models import Project
from stockade import Principal
from stockade.authorization import owned_by, policy, policy_scope
from stockade.core.identity import TenantRole


@policy(Project, "read")
def may_read(_caller: Principal, _project: Project) -> bool:
    """Everybody knows of all projects of the own company; some fields are not for everybody."""
    return True


@policy_scope(Project)
def readable(_caller: Principal) -> ColumnElement[bool]:
    """The same for lists."""
    return true()


policy(Project, "create")(owned_by("lead"))
policy(Project, "write", "delete")(owned_by("lead", or_roles=[TenantRole.ADMIN, TenantRole.OWNER]))


@policy(Project, "set_budget")
def may_set_budget(caller: Principal, project: Project) -> bool:
    """Two pairs of eyes: nobody says what the own project may cost. The route asks for the rest."""
    return project.lead != caller.user_id
